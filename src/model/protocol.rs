//! Port protocols and how they are told from names, `appProtocol` and numbers.
//!
//! Source: Istio `pkg/config/protocol/instance.go`, `pkg/config/kube/conversion.go`; `shared/spec/xds.md` 4.5.

/// The application protocol of a service port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// Cleartext HTTP/2.
    Http2,
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web, translated to gRPC.
    GrpcWeb,
    /// A forward proxy port: HTTP with CONNECT.
    HttpProxy,
    /// TLS whose payload is HTTP; not terminated, routed by SNI.
    Https,
    /// TLS; not terminated, routed by SNI.
    Tls,
    /// Opaque TCP.
    Tcp,
    /// MongoDB.
    Mongo,
    /// Redis.
    Redis,
    /// MySQL.
    MySql,
    /// UDP: never proxied.
    Udp,
    /// Not declared: told by inspection of the first bytes.
    Auto,
}

/// How a protocol is carried by a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// An HTTP connection manager.
    Http,
    /// A TCP proxy.
    Tcp,
    /// Decided per connection by inspection.
    Auto,
    /// Not carried.
    None,
}

impl Protocol {
    /// The protocol that a word names, in any case; `None` if the word names none.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "http" => Self::Http,
            "http2" => Self::Http2,
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "http_proxy" => Self::HttpProxy,
            "https" => Self::Https,
            "tls" => Self::Tls,
            "tcp" => Self::Tcp,
            "mongo" => Self::Mongo,
            "redis" => Self::Redis,
            "mysql" => Self::MySql,
            "udp" => Self::Udp,
            _ => return None,
        })
    }

    /// The protocol of a Kubernetes Service port.
    ///
    /// `transport` is the port's `protocol`. `appProtocol`, when set, hides the name even if it is unknown.
    pub fn of_kubernetes_port(port: u16, name: &str, transport: &str, app_protocol: Option<&str>) -> Self {
        if transport == "UDP" {
            return Self::Udp;
        }
        let named = match app_protocol {
            Some("kubernetes.io/h2c") => return Self::Http2,
            Some("kubernetes.io/ws") => return Self::Http,
            Some("kubernetes.io/wss") => return Self::Https,
            Some(app) => app,
            None => name,
        };
        Self::of_name(named).unwrap_or(match port {
            25 | 53 | 3306 | 27017 => Self::Tcp,
            _ => Self::Auto,
        })
    }

    /// The protocol that a port name begins with: the part before the first `-`, `grpc-web` as a whole.
    fn of_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if lower == "grpc-web" || lower.starts_with("grpc-web-") {
            return Some(Self::GrpcWeb);
        }
        Self::parse(lower.split('-').next().unwrap_or_default())
    }

    /// The protocol of a ServiceEntry, Gateway or Sidecar port, which is declared by its field only.
    pub fn of_declared(protocol: &str) -> Self {
        Self::parse(protocol).unwrap_or(Self::Auto)
    }

    /// How a listener carries it.
    pub fn class(self) -> Class {
        match self {
            Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb | Self::HttpProxy => Class::Http,
            Self::Https | Self::Tls | Self::Tcp | Self::Mongo | Self::Redis | Self::MySql => Class::Tcp,
            Self::Auto => Class::Auto,
            Self::Udp => Class::None,
        }
    }

    /// HTTP of any version.
    pub fn is_http(self) -> bool {
        self.class() == Class::Http
    }

    /// HTTP/2 without negotiation: HTTP2, GRPC, GRPC-Web.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// GRPC or GRPC-Web.
    pub fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcWeb)
    }

    /// What comes out where TLS ends.
    #[must_use]
    pub fn inside_tls(self) -> Self {
        match self {
            Self::Https => Self::Http,
            Self::Tls => Self::Tcp,
            other => other,
        }
    }

    /// TLS that is routed by SNI: TLS or HTTPS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Https)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_ports() {
        let of = |port, name, app| Protocol::of_kubernetes_port(port, name, "TCP", app);
        assert_eq!(of(80, "http-web", None), Protocol::Http);
        assert_eq!(of(80, "HTTP2", None), Protocol::Http2);
        assert_eq!(of(80, "grpc-web-x", None), Protocol::GrpcWeb);
        assert_eq!(of(80, "grpc-website", None), Protocol::Grpc);
        assert_eq!(of(3306, "db", None), Protocol::Tcp);
        assert_eq!(of(3307, "db", None), Protocol::Auto);
        assert_eq!(
            of(80, "http", Some("something")),
            Protocol::Auto,
            "an unknown appProtocol hides the name"
        );
        assert_eq!(of(80, "", Some("kubernetes.io/wss")), Protocol::Https);
        assert_eq!(of(80, "udp-x", None), Protocol::Udp);
        assert_eq!(Protocol::of_kubernetes_port(80, "http", "UDP", None), Protocol::Udp);
    }

    #[test]
    fn declared_ports_know_no_numbers() {
        assert_eq!(Protocol::of_declared("HTTP_PROXY"), Protocol::HttpProxy);
        assert_eq!(Protocol::of_declared(""), Protocol::Auto);
    }
}
