//! A subscriber of traces that acts at events.

/// Calls what it holds at each event of the engine.
pub(crate) struct OnEvent<F>(pub(crate) F);

/// Whether an event is a conflict.
#[allow(dead_code, reason = "not every test has conflicts")]
pub(crate) fn is_conflict(event: &tracing::Event<'_>) -> bool {
    event.fields().any(|field| field.name() == "conflict")
}

impl<F: Fn(&tracing::Event<'_>) + Send + Sync + 'static> tracing::Subscriber for OnEvent<F> {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        (self.0)(event);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
