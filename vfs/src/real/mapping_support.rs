//! Which file systems take a mapped store without needing a new block.
//!
//! A store that finds no block for its page ends the process (`SIGBUS`). Where files are rewritten in place, bytes
//! that were written once have their blocks. Where every write goes to a new place, and where the disk is another
//! machine's or another process's, they have not; there the log is written by system calls, which return errors.

use rustix::fs::fstatfs;

/// Magic numbers of file systems that copy on write, or that live elsewhere.
const NOT_IN_PLACE: [u64; 10] = [
    0x9123_683e, // btrfs
    0xca45_1a4e, // bcachefs
    0x2fc1_2fc1, // ZFS
    0xf2f5_2010, // F2FS
    0x3434,      // NILFS
    0x6969,      // NFS
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x6573_5546, // FUSE
    0x0102_1997, // 9P
];

/// Whether stores into written bytes of this file need no new block.
pub(super) fn stores_in_place(file: &std::fs::File) -> bool {
    // The field's width and sign differ by target; a magic number has 32 bits.
    fstatfs(file).is_ok_and(|stats| !NOT_IN_PLACE.contains(&(low_32_bits(stats.f_type))))
}

#[expect(
    clippy::allow_attributes,
    reason = "whether the conversion is needed, or can cut, depends on the target"
)]
#[allow(
    clippy::cast_sign_loss,
    clippy::unnecessary_cast,
    clippy::cast_lossless,
    reason = "the magic number is the field's low 32 bits on every target"
)]
fn low_32_bits(f_type: rustix::fs::FsWord) -> u64 {
    (f_type as u64) & 0xffff_ffff
}
