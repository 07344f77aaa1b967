//! Traffic through real Envoys: one file per story.

mod by_hand;
mod first_light;
