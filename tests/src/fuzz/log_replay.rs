//! A log that somebody made up: read, taken up again, salvaged.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use braid::vfs::memory::MemoryFileSystem;
use braid_wal::{
    EncodedRecord, LogOptions, Lsn, MapPolicy, RecordKind, Recovered, Recovery, Salvage, ScanError,
};

use super::log_image::{LogImage, UUID};
use super::quiet_env;

/// A record as it was delivered: position, end, tag, payload.
type Delivered = (u64, u64, u64, Vec<u8>);

fn options() -> LogOptions {
    LogOptions {
        first_segment_bytes: 8192,
        max_segment_bytes: 8192,
        max_record_bytes: 1 << 16,
        mapping: MapPolicy::Never,
        ..LogOptions::default()
    }
}

fn scan(files: &MemoryFileSystem, image: &LogImage) -> Result<(Recovered, Vec<Delivered>), String> {
    let mut delivered = Vec::new();
    let scanned =
        Recovery::scan(files, Path::new("/log"), UUID, image.start(), image.proven(), &options(), |record| {
            let (lsn, end) = (record.lsn.get(), record.end.get());
            delivered.push((lsn, end, record.tag, record.payload.to_vec()));
            Ok::<_, Infallible>(())
        });
    assert!(delivered.first().is_none_or(|first| first.0 >= image.start().get()));
    assert!(delivered.is_sorted_by(|before, after| before.1 <= after.0), "records come in order");
    match scanned {
        Ok(recovered) => {
            assert!(delivered.last().is_none_or(|last| last.1 <= recovered.end.get()));
            assert!(recovered.end >= image.start() && recovered.end >= image.proven());
            Ok((recovered, delivered))
        }
        Err(ScanError::Recovery(error)) => Err(error.to_string()),
        Err(ScanError::Stopped(never)) => match never {},
    }
}

/// Reads the log of an image. If it is accepted, the log goes on, and holds the same and what is added from then on.
///
/// # Panics
/// When the log breaks a promise.
pub fn log_replay(data: &[u8]) {
    let image = LogImage::parse(data);
    let files = MemoryFileSystem::new();
    image.mount(&files, Path::new("/log"));
    salvage(&files, &image);
    let Ok((recovered, mut delivered)) = scan(&files, &image) else { return };
    let bytes: u64 = delivered.iter().map(|(lsn, end, ..)| end - lsn).sum();
    assert!(bytes <= image.record_bytes() as u64, "{bytes} bytes of records are more than there are");
    let (_, again) = scan(&files, &image).expect("a log that was accepted is accepted again");
    assert_eq!(delivered, again, "a scan changes nothing");
    let env = quiet_env(Arc::new(files.clone()));
    // A made-up log may have used up its numbers; nothing else keeps it from going on.
    let Ok((log, mut appender)) = recovered.into_log(&env, options()) else { return };
    let (_, again) = scan(&files, &image).expect("a log that was taken up is accepted");
    assert_eq!(delivered, again, "recovery keeps every record");
    let mut record = EncodedRecord::new();
    record.begin(RecordKind::user::<1>());
    record.extend_from_slice(b"more");
    record.finish();
    let Ok(end) = appender.append(&mut record, 99) else { return };
    log.sync_through(end).expect("memory can be synced");
    drop((log, appender));
    let (_, again) = scan(&files, &image).expect("a log that went on is accepted");
    delivered.push((again.last().map_or(0, |last| last.0), end.get(), 99, b"more".to_vec()));
    assert_eq!(delivered, again, "what was added is there");
}

fn salvage(files: &MemoryFileSystem, image: &LogImage) {
    let mut pieces = 0_usize;
    let salvaged =
        Recovery::salvage(files, Path::new("/log"), UUID, image.start(), Lsn::ZERO, &options(), |piece| {
            pieces += 1;
            if let Salvage::Record(record) = piece {
                assert!(record.lsn >= image.start() && record.end > record.lsn);
            }
            Ok::<_, Infallible>(())
        });
    assert!(salvaged.is_ok_and(|salvaged| salvaged.end >= Lsn::ZERO));
    assert!(pieces <= image.record_bytes() / 8 + 16, "{pieces} pieces were salvaged");
}
