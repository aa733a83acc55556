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

# The documentation, without warnings
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Everything that CI runs
ci:
    .ci/run
