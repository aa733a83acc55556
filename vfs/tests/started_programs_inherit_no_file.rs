//! A program that is started gets none of the files that are open here.
#![cfg(all(target_os = "linux", not(miri)))]

use braid_vfs::{Env, OpenMode, OpenOptions};

#[test]
fn started_programs_inherit_no_file() {
    let files = Env::real().files;
    let directory = std::env::temp_dir().join(format!("braid-vfs-inherit-{}", std::process::id()));
    files.create_dir(&directory, 0o700).unwrap();
    let path = directory.join("file");
    let open = files.open(&path, OpenOptions::new(OpenMode::CreateNew)).unwrap();
    let listed = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    drop(open);
    files.remove_file(&path).unwrap();
    files.remove_dir(&directory).unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("->"), "{listed}");
    assert!(!listed.contains("braid-vfs-inherit"), "{listed}");
}
