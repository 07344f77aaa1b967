//! An external authorizer of gRPC: `envoy.service.auth.v3.Authorization`.
//!
//! Source: <https://github.com/envoyproxy/envoy/blob/main/api/envoy/service/auth/v3/external_auth.proto>.

/// The method's path.
pub(super) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// `PERMISSION_DENIED` of gRPC.
const DENIED: u8 = 7;

/// A `CheckResponse`: its `status` (field 1, a `google.rpc.Status`) with a `code` (field 1), of which 0 is absent.
pub(super) fn answer(allows: bool) -> &'static [u8] {
    const ALLOWED_ANSWER: &[u8] = &[0x0a, 0];
    const DENIED_ANSWER: &[u8] = &[0x0a, 2, 0x08, DENIED];
    if allows { ALLOWED_ANSWER } else { DENIED_ANSWER }
}
