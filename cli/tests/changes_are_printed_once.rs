//! The changes are JSON lines in the order of the commits; a consumer is told each of them once.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Folder, braid, command};
use serde_json::{Value, json};

#[expect(clippy::unwrap_used, reason = "a test")]
fn lines(args: &[&str]) -> Vec<Value> {
    braid(args).code(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn of_every_kind_as_far_as_the_log_reaches_back() {
    let folder = Folder::new();
    let db = braid::Database::open(folder.path("db.braid")).unwrap();
    let fruit = db.table("fruit").unwrap();
    db.put(&fruit, "apple", [0xff]).unwrap();
    db.delete(&fruit, "apple").unwrap();
    db.drop_table("fruit").unwrap();
    drop((fruit, db));
    let path = folder.arg("db.braid");
    let all = [
        json!({"ts": 1, "op": "create", "table": "fruit", "id": 16}),
        json!({"ts": 2, "op": "put", "table": "fruit", "id": 16, "key": "apple", "value": {"hex": "ff"}}),
        json!({"ts": 3, "op": "delete", "table": "fruit", "id": 16, "key": "apple"}),
        json!({"ts": 4, "op": "drop", "table": "fruit", "id": 16}),
    ];
    assert_eq!(lines(&["changes", &path]), all);
    assert_eq!(lines(&["changes", &path, "--from", "3"]), all[3..]);
    assert_eq!(lines(&["changes", &path, "--from", "4"]), [] as [Value; 0]);
    for feed in
        [&["changes", &path, "--from", "99"][..], &["changes", &path, "--consumer", "c", "--from", "99"]]
    {
        braid(feed).fails(3, "there is no commit at 99 yet");
    }
    braid::Database::open(folder.path("db.braid")).unwrap().close().unwrap();
    let fails = braid(&["changes", &path, "--from", "1"]);
    fails.fails(3, "the changes after 1 are no longer in the log");
    let late = braid(&["changes", &path]).code(0);
    assert!(late.stdout.is_empty() && late.stderr.contains("what came before is not printed"), "{late:?}");
    braid(&["changes", &folder.arg("nothing")]).fails(3, "there is no database");
}

#[test]
fn to_a_consumer_over_closes() {
    let folder = Folder::new();
    let path = folder.arg("db.braid");
    let open = || braid::Database::open(&path).unwrap();
    open().table("t").unwrap();
    let told = || lines(&["changes", &path, "--consumer", "index"]);
    assert_eq!(told(), [] as [Value; 0], "a new one begins now");
    for round in 0..3_u8 {
        let db = open();
        db.put(&db.table("t").unwrap(), [b'a' + round], "1").unwrap();
        db.close().unwrap();
        let news = told();
        assert_eq!((news.len(), &news[0]["key"]), (1, &json!(String::from(char::from(b'a' + round)))));
        assert_eq!(told(), [] as [Value; 0]);
    }
    let stat = braid(&["stat", &path]).code(0).stdout;
    assert!(stat.contains("consumer") && stat.contains("index"), "{stat}");
    assert_eq!(braid(&["stat", &path, "--json"]).code(0).json()["consumers"][0]["name"], "index");
    let forget = ["changes", &path, "--consumer", "index", "--forget"];
    braid(&forget).code(0);
    assert!(!braid(&["stat", &path]).code(0).stdout.contains("index"), "its log is let go");
    braid(&forget).fails(3, "there is no consumer `index`");
    let alone = braid(&["changes", &path, "--forget"]).code(2);
    assert!(alone.stderr.contains("--consumer"), "{alone:?}");
    assert!(!folder.path("missing").exists());
    braid(&["changes", &folder.arg("missing"), "--consumer", "c"]).code(3);
    assert!(!folder.path("missing").exists());
}

#[test]
fn on_and_on_where_it_follows() {
    let folder = Folder::new();
    let path = folder.arg("db.braid");
    let open = || braid::Database::open(&path).unwrap();
    drop(open());
    let out = folder.path("out");
    let to = std::fs::File::create(&out).unwrap();
    let mut follower =
        command(&["changes", &path, "--follow"]).stdout(to).stderr(Stdio::inherit()).spawn().unwrap();
    let began = Instant::now();
    for round in 0..2_u8 {
        let Some(db) = (0..200).find_map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            braid::Database::open(&path).ok()
        }) else {
            panic!("it is never let go")
        };
        db.put(&db.table("t").unwrap(), [round], "1").unwrap();
        drop(db);
        while std::fs::read_to_string(&out).unwrap().matches("put").count() <= usize::from(round) {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not follow");
            assert!(follower.try_wait().unwrap().is_none(), "it has ended");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn who_follows_a_database_that_is_open_is_told_once() {
    let folder = Folder::new();
    let path = folder.arg("db.braid");
    let held = braid::Database::open(&path).unwrap();
    let told = folder.path("told");
    let to = std::fs::File::create(&told).unwrap();
    let mut follower =
        command(&["changes", &path, "--follow"]).stdout(Stdio::null()).stderr(to).spawn().unwrap();
    let text = || std::fs::read_to_string(&told).unwrap();
    let began = Instant::now();
    while text().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "it waits in silence");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(text().matches("another process has the database open").count(), 1, "{}", text());
    follower.kill().unwrap();
    follower.wait().unwrap();
    held.close().unwrap();
}
