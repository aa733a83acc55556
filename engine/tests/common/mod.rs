//! A subscriber of traces that acts when a transaction loses.

/// Calls what it holds at each event of the engine that is a conflict.
pub(crate) struct OnConflict<F>(pub(crate) F);

impl<F: Fn() + Send + Sync + 'static> tracing::Subscriber for OnConflict<F> {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        if event.fields().any(|field| field.name() == "conflict") {
            (self.0)();
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
