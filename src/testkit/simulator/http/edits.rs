//! Changes of headers that routes, virtual hosts and route configurations ask for.
//!
//! What is nearest to the request comes first, removals before additions, so what stands further away wins. Source:
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#custom-request-response-headers>.

use anyhow::{Context, Result, bail};
use envoy::config::core::v3::HeaderValueOption;
use envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy::config::route::v3::weighted_cluster::ClusterWeight;

use super::super::{HeaderEdit, known};
use super::Chosen;

/// Headers to add and names to take away.
type Level<'a> = (&'a [HeaderValueOption], &'a [String]);

/// What is done to a request's headers, in order.
pub(super) fn request(chosen: Chosen<'_>, cluster: Option<&ClusterWeight>) -> Result<Vec<HeaderEdit>> {
    let Chosen { configuration: all, host, route } = chosen;
    let nearest = cluster.map(|c| (&*c.request_headers_to_add, &*c.request_headers_to_remove));
    edits(
        chosen,
        nearest,
        [
            (&route.request_headers_to_add, &route.request_headers_to_remove),
            (&host.request_headers_to_add, &host.request_headers_to_remove),
            (&all.request_headers_to_add, &all.request_headers_to_remove),
        ],
    )
}

/// What is done to an answer's headers, in order.
pub(super) fn response(chosen: Chosen<'_>, cluster: Option<&ClusterWeight>) -> Result<Vec<HeaderEdit>> {
    let Chosen { configuration: all, host, route } = chosen;
    let nearest = cluster.map(|c| (&*c.response_headers_to_add, &*c.response_headers_to_remove));
    edits(
        chosen,
        nearest,
        [
            (&route.response_headers_to_add, &route.response_headers_to_remove),
            (&host.response_headers_to_add, &host.response_headers_to_remove),
            (&all.response_headers_to_add, &all.response_headers_to_remove),
        ],
    )
}

fn edits(
    chosen: Chosen<'_>,
    nearest: Option<Level<'_>>,
    mut levels: [Level<'_>; 3],
) -> Result<Vec<HeaderEdit>> {
    if chosen.configuration.most_specific_header_mutations_wins {
        levels.reverse();
    }
    let mut edits = Vec::new();
    for (add, remove) in nearest.into_iter().chain(levels) {
        edits.extend(remove.iter().map(|name| HeaderEdit::Remove(name.to_lowercase())));
        for option in add {
            edits.push(edit(option)?);
        }
    }
    Ok(edits)
}

fn edit(option: &HeaderValueOption) -> Result<HeaderEdit> {
    known::only(option, &["header", "append", "append_action", "keep_empty_value"], &[])?;
    let header = option.header.as_ref().context("a header to add without a name")?;
    known::only(header, &["key", "value"], &[])?;
    // A doubled percent sign stands for one. What is computed from the request stays as it is written.
    let (name, value) = (header.key.to_lowercase(), header.value.replace("%%", "%"));
    #[allow(deprecated, reason = "what Envoy reads where the action is not set")]
    let append = option.append.is_none_or(|a| a.value);
    Ok(match option.append_action() {
        HeaderAppendAction::AppendIfExistsOrAdd if !append => HeaderEdit::Set(name, value),
        HeaderAppendAction::AppendIfExistsOrAdd => HeaderEdit::Append(name, value),
        HeaderAppendAction::AddIfAbsent => HeaderEdit::AddIfAbsent(name, value),
        HeaderAppendAction::OverwriteIfExistsOrAdd => HeaderEdit::Set(name, value),
        HeaderAppendAction::OverwriteIfExists => HeaderEdit::Overwrite(name, value),
    })
}

/// Applies changes to a request, whose host is a header too.
pub(super) fn apply(edits: &[HeaderEdit], request: &mut super::Request) -> Result<()> {
    for edit in edits {
        match edit {
            HeaderEdit::Set(name, value) if matches!(name.as_str(), "host" | ":authority") => {
                request.authority.clone_from(value);
            }
            HeaderEdit::Set(name, value) if name == ":path" => request.path.clone_from(value),
            HeaderEdit::Append(name, _) | HeaderEdit::Set(name, _) if name.starts_with(':') => {
                bail!("the simulator does not know how {name} is changed");
            }
            edit => edit.apply(&mut request.headers),
        }
    }
    Ok(())
}
