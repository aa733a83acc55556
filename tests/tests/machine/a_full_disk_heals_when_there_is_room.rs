//! On a disk of a few KiB commits end in `NoSpace` and reads go on; once there is room everything goes on by itself.

use braid_tests::machine::try_full_disk;

use crate::actor;

#[test]
fn on_disks_of_many_sizes() {
    let (mut refused, mut full) = (0, 0);
    for kib in [4, 16, 48, 64, 72, 96, 160, 256, 400] {
        let tried = try_full_disk(&actor(), kib).unwrap_or_else(|what| panic!("{kib} KiB: {what}"));
        let Some(disk) = tried.or_say_so("a full disk") else { return };
        refused += u64::from(disk.refused);
        full += u64::from(!disk.refused && disk.no_space > 0);
    }
    assert!(refused > 0 && full > 0, "some disks are full at the open ({refused}), some later ({full})");
}
