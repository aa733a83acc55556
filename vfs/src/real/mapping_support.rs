//! Which file systems take a mapped store without needing a new block.
//!
//! A store that finds no block for its page ends the process (`SIGBUS`), so what is not known is not mapped: there the log
//! is written by system calls, which return errors. Known are file systems that rewrite a file in place, so that bytes
//! which were written once have their blocks. Not among them are those that write everything to a new place (btrfs, ZFS,
//! bcachefs, F2FS), those whose disk is another machine's or another process's (NFS, SMB, FUSE, 9P, Ceph), and those that
//! stand before any other (overlayfs, which containers have; eCryptfs): what is behind them is not told.

use rustix::fs::fstatfs;

/// Magic numbers of file systems that rewrite in place.
const IN_PLACE: [u64; 3] = [
    0xef53,      // ext4, and ext2 and ext3, which the same code serves
    0x5846_5342, // XFS
    0x0102_1994, // tmpfs: what was written has its memory, or its place in the swap
];

/// Whether stores into written bytes of this file need no new block.
pub(super) fn stores_in_place(file: &std::fs::File) -> bool {
    // The field's width and sign differ by target; a magic number has 32 bits.
    fstatfs(file).is_ok_and(|stats| rewrites_in_place(low_32_bits(stats.f_type)))
}

/// Whether a file system of this kind is known to rewrite in place.
fn rewrites_in_place(kind: u64) -> bool {
    IN_PLACE.contains(&kind)
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

#[cfg(test)]
#[cfg(not(any(shuttle, loom, miri)))]
mod tests {
    use super::*;

    #[test]
    fn what_rewrites_in_place_is_mapped_and_whatever_else_is_not() {
        let mapped = [("ext4", 0xef53), ("XFS", 0x5846_5342), ("tmpfs", 0x0102_1994)];
        for (name, kind) in mapped {
            assert!(rewrites_in_place(kind), "{name}");
        }
        let written = [
            ("overlayfs", 0x794c_7630),
            ("btrfs", 0x9123_683e),
            ("bcachefs", 0xca45_1a4e),
            ("ZFS", 0x2fc1_2fc1),
            ("F2FS", 0xf2f5_2010),
            ("NILFS", 0x3434),
            ("NFS", 0x6969),
            ("CIFS", 0xff53_4d42),
            ("SMB2", 0xfe53_4d42),
            ("FUSE", 0x6573_5546),
            ("9P", 0x0102_1997),
            ("Ceph", 0x00c3_6400),
            ("Lustre", 0x0bd0_0bd0),
            ("GFS2", 0x0116_1970),
            ("OCFS2", 0x7461_636f),
            ("eCryptfs", 0xf15f),
            ("vboxsf", 0x786f_4256),
            ("vfat", 0x4d44),
            ("exFAT", 0x2011_bab0),
            ("none that there is", 0),
        ];
        for (name, kind) in written {
            assert!(!rewrites_in_place(kind), "{name}");
        }
    }

    #[test]
    fn a_file_is_asked_for_its_own_file_system() {
        // Made by the kernel on every system, of kinds that are on no list.
        #[expect(clippy::disallowed_methods, reason = "a file that only the system has")]
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        assert!(!stores_in_place(&file));
    }
}
