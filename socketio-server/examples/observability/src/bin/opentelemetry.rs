//! A server whose spans go to OpenTelemetry. Run it with
//! `cargo run -p observability --bin opentelemetry`; it prints each span when it ends.
//! With the crate `opentelemetry-otlp`, its exporter takes the place of the one that prints.
//!
//! Environment: `PORT` (3000).

use std::{env, net::Ipv4Addr};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use socketio_server::{Data, HandlerError, Server, Socket};
use tracing::{Instrument, Subscriber, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    Layer, filter::Targets, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(opentelemetry_stdout::SpanExporter::default())
        .with_resource(Resource::builder().with_service_name("chat").build())
        .build();
    tracing_subscriber::registry().with(traces(&provider)).init();

    let io = chat();
    let listening = io.bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}", listening.local_addr()?);
    tokio::signal::ctrl_c().await?;
    io.close();
    io.ended().await; // ends the spans of clients
    listening.stop();
    listening.join().await;
    provider.shutdown()?; // exports the spans that wait
    Ok(())
}

/// Hands the spans of the application and those of handlers on to OpenTelemetry. Those are at the
/// level debug: `session` of a client has the field `id`, and `event` inside it `name` and `nsp`.
fn traces<S>(provider: &SdkTracerProvider) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let spans = Targets::new()
        .with_target("socketio::client", tracing::Level::DEBUG)
        .with_target("socketio::socket", tracing::Level::DEBUG)
        .with_target(env!("CARGO_CRATE_NAME"), tracing::Level::INFO);
    tracing_opentelemetry::layer().with_tracer(provider.tracer("socketio")).with_filter(spans)
}

fn chat() -> Server {
    let io = Server::new();
    io.on("say", |socket: Socket, Data(text): Data<String>| async move {
        // The current span is that of the event.
        tracing::Span::current().set_attribute("chat.length", text.len() as i64);
        store(&text).instrument(info_span!("store")).await;
        socket.broadcast().emit("said", &text)?;
        Ok::<_, HandlerError>(text.len())
    });
    io
}

/// Stands for a query to a database.
async fn store(_text: &str) {
    tokio::task::yield_now().await;
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
    use socketio_server::testing::TestClient;

    use super::*;

    fn attribute(span: &SpanData, key: &str) -> Option<String> {
        let attribute = span.attributes.iter().find(|attribute| attribute.key.as_str() == key)?;
        Some(attribute.value.as_str().into_owned())
    }

    #[tokio::test]
    async fn a_message_has_a_span_with_its_event_and_namespace_inside_that_of_its_session() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let subscriber = tracing_subscriber::registry().with(traces(&provider));
        let _guard = tracing::subscriber::set_default(subscriber);

        let io = chat();
        let mut client = TestClient::connect(&io, "/", &()).await.unwrap();
        let length: usize = client.emit_with_ack("say", &"a secret").await.unwrap();
        assert_eq!(length, 8);
        client.close().await.unwrap();
        io.close();
        io.ended().await;

        let spans = exporter.get_finished_spans().unwrap();
        let named = |name: &str| {
            let span = spans.iter().find(|span| span.name == name);
            span.unwrap_or_else(|| panic!("no span {name} in {spans:#?}"))
        };
        let (session, event, store) = (named("session"), named("event"), named("store"));
        assert_eq!(attribute(event, "name").as_deref(), Some("say"));
        assert_eq!(attribute(event, "nsp").as_deref(), Some("/"));
        assert_eq!(attribute(event, "chat.length").as_deref(), Some("8"));
        assert!(attribute(session, "id").is_some_and(|id| client.id() != id));
        assert_eq!(event.parent_span_id, session.span_context.span_id());
        assert_eq!(store.parent_span_id, event.span_context.span_id());
        let all = format!("{spans:?}");
        assert!(!all.contains("a secret"), "a span shows what a client sent");
    }
}
