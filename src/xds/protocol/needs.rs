//! The assignment that a cluster needs before Envoy uses it, read from the cluster's encoded form.

use std::sync::Arc;

use bytes::Buf as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::encoded::Encoded;
use crate::kind::ResourceType;
use crate::slot::Slots;

/// Field numbers of `envoy.config.cluster.v3.Cluster` and of its `EdsClusterConfig`.
mod field {
    pub(super) const TYPE: u32 = 2;
    pub(super) const EDS_CLUSTER_CONFIG: u32 = 3;
    pub(super) const SERVICE_NAME: u32 = 2;
}

/// `Cluster.DiscoveryType.EDS`.
const EDS: u64 = 3;

/// The name of the assignment that this resource warms on; `None` for anything but a cluster of type EDS.
pub(super) fn assignment(resource: &Encoded, slots: &Slots) -> Option<Arc<str>> {
    if resource.kind() != ResourceType::Cluster {
        return None;
    }
    match scan(&resource.body(slots))? {
        Some(service) if !service.is_empty() => Some(service.into()),
        _ => Some(Arc::clone(resource.name())),
    }
}

/// Whether the cluster is of type EDS, and the service name it gives. A body that does not parse is no EDS cluster:
/// Envoy will refuse it.
fn scan(mut body: &[u8]) -> Option<Option<String>> {
    let (mut is_eds, mut service) = (false, None);
    while body.has_remaining() {
        let (tag, wire) = decode_key(&mut body).ok()?;
        match (tag, wire) {
            (field::TYPE, WireType::Varint) => is_eds = decode_varint(&mut body).ok()? == EDS,
            (field::EDS_CLUSTER_CONFIG, WireType::LengthDelimited) => {
                service = service_name(length_delimited(&mut body)?)?.or(service);
            }
            _ => skip_field(wire, tag, &mut body, DecodeContext::default()).ok()?,
        }
    }
    is_eds.then_some(service)
}

fn service_name(mut config: &[u8]) -> Option<Option<String>> {
    let mut name = None;
    while config.has_remaining() {
        let (tag, wire) = decode_key(&mut config).ok()?;
        if (tag, wire) == (field::SERVICE_NAME, WireType::LengthDelimited) {
            name = Some(String::from_utf8(length_delimited(&mut config)?.to_vec()).ok()?);
        } else {
            skip_field(wire, tag, &mut config, DecodeContext::default()).ok()?;
        }
    }
    Some(name)
}

fn length_delimited<'b>(body: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = usize::try_from(decode_varint(body).ok()?).ok()?;
    let (content, rest) = body.split_at_checked(len)?;
    *body = rest;
    Some(content)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::envoy::Message as _;
    use api::envoy::config::cluster::v3::{Cluster, cluster};

    use super::assignment;
    use crate::encoded::Encoded;
    use crate::kind::ResourceType;
    use crate::slot::Slots;

    fn needs(cluster: &Cluster) -> Option<Arc<str>> {
        let body = cluster.encode_to_vec().into();
        assignment(&Encoded::whole(ResourceType::Cluster, cluster.name.as_str(), body), &Slots::default())
    }

    #[test]
    fn an_eds_cluster_needs_its_service_name_or_its_own() {
        let mut cluster = Cluster {
            name: "outbound|80||a".to_owned(),
            alt_stat_name: "x".to_owned(),
            cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(
                cluster::DiscoveryType::Eds.into(),
            )),
            ..Cluster::default()
        };
        assert_eq!(needs(&cluster).as_deref(), Some("outbound|80||a"));
        let service_name = "other".to_owned();
        cluster.eds_cluster_config = Some(cluster::EdsClusterConfig { service_name, ..Default::default() });
        assert_eq!(needs(&cluster).as_deref(), Some("other"));
        let strict_dns = cluster::DiscoveryType::StrictDns.into();
        cluster.cluster_discovery_type = Some(cluster::ClusterDiscoveryType::Type(strict_dns));
        assert_eq!(needs(&cluster), None);
    }

    #[test]
    fn what_is_not_a_cluster_needs_nothing() {
        let encoded = |kind, bytes: &'static [u8]| Encoded::whole(kind, "x", bytes.into());
        let eds: &[u8] = &[0x10, 3];
        assert!(assignment(&encoded(ResourceType::Cluster, eds), &Slots::default()).is_some());
        assert!(assignment(&encoded(ResourceType::Listener, eds), &Slots::default()).is_none());
        assert!(assignment(&encoded(ResourceType::Cluster, &[0x10, 3, 0xff]), &Slots::default()).is_none());
        assert!(
            assignment(&encoded(ResourceType::Cluster, &[0x10, 3, 0x1a, 9, 1]), &Slots::default()).is_none()
        );
    }
}
