//! `/metrics`: what the rooms count, and what the mesh says at the time of the scrape.
//!
//! Source: `shared/spec/operations.md` 3.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Encoder, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::Surface;

pub(crate) fn router(surface: &Surface) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(surface.clone())
}

async fn scrape(State(surface): State<Surface>) -> Response {
    let text = of_the_mesh(&surface).and_then(|mut families| {
        families.extend(surface.registry.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    });
    match text {
        Ok(text) => {
            let kind = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Gauges that are read off the mesh.
fn of_the_mesh(surface: &Surface) -> prometheus::Result<Vec<prometheus::proto::MetricFamily>> {
    let mesh = (surface.mesh)();
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, value: usize| -> prometheus::Result<()> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(Box::new(gauge))
    };
    gauge("pilot_services", "Total services known to pilot.", mesh.services.all().len())?;
    gauge(
        "pilot_virt_services",
        "Total virtual services known to pilot.",
        mesh.virtual_services.all().len(),
    )?;
    gauge("pilothouse_problems", "Problems of the configuration that is known.", (surface.problems)().len())?;
    let info =
        IntGaugeVec::new(Opts::new("pilot_info", "Pilot version and build information."), &["version"])?;
    info.with_label_values(&[surface.version.as_str()]).set(1);
    registry.register(Box::new(info))?;
    Ok(registry.gather())
}
