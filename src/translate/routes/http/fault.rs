//! Failures made on purpose.
//!
//! Source: Istio `pilot/pkg/networking/core/route/route.go` (`TranslateFault`); `shared/spec/xds.md` 5.5, trap 46.

use api::istio::{FaultAbort, FaultDelay, HttpFaultInjection};
use envoy::extensions::filters::common::fault::v3 as common;
use envoy::extensions::filters::common::fault::v3::fault_delay::FaultDelaySecifier;
use envoy::extensions::filters::http::fault::v3 as filter;
use envoy::extensions::filters::http::fault::v3::fault_abort::ErrorType;

use super::build::note;
use super::percent;
use super::text::Wrong;
use crate::routes::retry::duration;

/// The names of gRPC's status codes, by number.
const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The settings of the fault filter for a route; none if nothing is left of them.
pub(super) fn build(wanted: &HttpFaultInjection, wrong: &mut Vec<Wrong>) -> Option<filter::HttpFault> {
    let delay = wanted.delay.as_ref().and_then(|d| note(delay(d), wrong));
    let abort = wanted.abort.as_ref().and_then(|a| note(abort(a), wrong));
    (delay.is_some() || abort.is_some()).then(|| filter::HttpFault {
        delay,
        abort,
        ..filter::HttpFault::default()
    })
}

/// Without any share it is 0 %, as in the reference.
fn delay(wanted: &FaultDelay) -> Result<common::FaultDelay, Wrong> {
    let fixed = wanted.fixed_delay.filter(|d| !d.is_zero()).ok_or_else(|| {
        Wrong::new("fault.delay.fixedDelay", "a fixed delay above zero is needed: Envoy knows no other")
    })?;
    let share = match &wanted.percentage {
        Some(share) => percent::fraction(share),
        None => percent::whole(u32::try_from(wanted.percent).unwrap_or_default()),
    };
    Ok(common::FaultDelay {
        percentage: Some(share),
        fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(duration(fixed))),
    })
}

fn abort(wanted: &FaultAbort) -> Result<filter::FaultAbort, Wrong> {
    let error = if let Some(status) = wanted.http_status {
        let status = u32::try_from(status).ok().filter(|s| (200..600).contains(s));
        ErrorType::HttpStatus(
            status.ok_or_else(|| Wrong::new("fault.abort.httpStatus", "a status code is 200 to 599"))?,
        )
    } else if let Some(status) = &wanted.grpc_status {
        ErrorType::GrpcStatus(grpc_status(status).ok_or_else(|| {
            Wrong::new("fault.abort.grpcStatus", format!("`{status}` is no status of gRPC"))
        })?)
    } else {
        return Err(Wrong::new("fault.abort", "httpStatus or grpcStatus is needed: Envoy knows no other"));
    };
    Ok(filter::FaultAbort {
        percentage: wanted.percentage.as_ref().map(percent::fraction),
        error_type: Some(error),
        ..filter::FaultAbort::default()
    })
}

fn grpc_status(text: &str) -> Option<u32> {
    let known = GRPC_STATUS.iter().position(|name| *name == text).or_else(|| text.parse().ok())?;
    u32::try_from(known).ok().filter(|_| known < GRPC_STATUS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_by_name_or_number() {
        assert_eq!(grpc_status("UNAVAILABLE"), Some(14));
        assert_eq!(grpc_status("8"), Some(8));
        assert_eq!(grpc_status("17"), None);
        assert_eq!(grpc_status("Unavailable"), None);
    }

    #[test]
    fn a_delay_that_envoy_cannot_make_is_named() {
        let mut wrong = Vec::new();
        let wanted = HttpFaultInjection { delay: Some(FaultDelay::default()), abort: None };
        assert_eq!(build(&wanted, &mut wrong), None);
        assert_eq!(wrong.first().map(|w| w.field.as_str()), Some("fault.delay.fixedDelay"));
    }
}
