//! Traffic through real Envoys: one file per story.

mod api_server;
mod by_hand;
mod change;
mod controllers;
mod first_light;
mod gateway;
mod gateway_names;
mod http3;
mod ingress;
mod networks;
mod overlap;
mod pair;
mod policies;
mod routing;
mod services;
mod sessions;
mod shop;
mod trouble;
mod validate;
