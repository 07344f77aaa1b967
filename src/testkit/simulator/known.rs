//! Holds a message against the fields that the simulator knows: what is set beyond them is an error, not passed over.

use anyhow::{Result, bail};
use api::json::pool;
use envoy::{Message, Name};
use prost_reflect::DynamicMessage;

/// Fails if a field of the message is set that is in neither list.
///
/// `used` decide where calls go and are looked at by the caller; `inert` do not, and are listed so that a field of a
/// later Envoy is not mistaken for one of them.
///
/// # Errors
/// Names the message and the fields.
pub(super) fn only<M: Message + Name>(message: &M, used: &[&str], inert: &[&str]) -> Result<()> {
    let name = M::full_name();
    let Some(descriptor) = pool().get_message_by_name(&name) else { bail!("{name} is not described") };
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?;
    let known = |field: &str| used.contains(&field) || inert.contains(&field);
    let unknown: Vec<String> =
        dynamic.fields().map(|(field, _)| field.name().to_owned()).filter(|field| !known(field)).collect();
    if !unknown.is_empty() {
        bail!("the simulator does not know {} of {name}", unknown.join(", "));
    }
    Ok(())
}
