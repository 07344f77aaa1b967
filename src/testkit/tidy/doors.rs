//! The door table: which room may use which. Written once, here; a room's `Cargo.toml` is held against it.

use super::manifest::{self, Kind, Package};
use super::{Problem, Tree};

/// The rooms that a room's product code may use.
enum Doors {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

use Doors::{AllBut, Only};

/// The rooms in the order in which data flows through them; a room uses only rooms above it.
const TABLE: &[(&str, Doors)] = &[
    ("envoy", Only(&[])),
    ("api", Only(&["envoy"])),
    ("model", Only(&["api"])),
    ("store", Only(&["api", "model"])),
    ("gateway_api", Only(&["api", "model"])),
    ("translate", Only(&["api", "envoy", "model"])),
    ("xds", Only(&["api"])),
    ("sources", Only(&["api", "model"])),
    ("controllers", Only(&["api", "model", "sources"])),
    ("ca", Only(&["api"])),
    ("auth", Only(&["api", "ca", "envoy", "model", "sources"])),
    ("inject", Only(&["api", "model"])),
    ("debug", Only(&["api", "model", "xds"])),
    ("pilothouse", AllBut(&["testkit", "e2e"])),
    ("agent", Only(&["api", "ca", "envoy"])),
    ("testkit", AllBut(&["pilothouse", "e2e"])),
    ("e2e", AllBut(&[])),
];

const HERE: &str = "src/testkit/tidy/doors.rs";

/// Dependencies between rooms that the table does not allow. Tests see more than the product (the mesh that a test of `translate`
/// needs is made by `store`), but never the binary, which would make every room's tests wait for all others.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    manifest::members(tree).iter().flat_map(breaches).collect()
}

/// Members that the root `Cargo.toml` lists in another order than the table does.
pub(super) fn check_order(tree: &Tree) -> Vec<Problem> {
    let places: Vec<(Option<usize>, String)> =
        manifest::members(tree).into_iter().map(|room| (place(&room.name), room.name)).collect();
    let pairs = places.iter().zip(places.iter().skip(1));
    pairs
        .filter(|((before, _), (after, _))| before > after)
        .map(|((_, before), (_, after))| {
            let what =
                format!("the member {after} stands after {before}, but comes before it in the flow of data");
            Problem::new(manifest::ROOT, what, format!("list members in the order of {HERE}"))
        })
        .collect()
}

fn place(room: &str) -> Option<usize> {
    TABLE.iter().position(|(name, _)| *name == room)
}

fn breaches(room: &Package) -> Vec<Problem> {
    let Some((_, doors)) = TABLE.iter().find(|(name, _)| *name == room.name) else {
        let what = format!("the room {} has no line in the door table", room.name);
        return vec![Problem::new(&room.manifest, what, format!("say in {HERE} which rooms it may use"))];
    };
    let used = room.dependencies.iter().filter(|used| place(&used.package).is_some());
    used.filter(|used| !allows(&room.name, doors, used.kind, &used.package))
        .map(|used| {
            let what = format!("{} may not use {}", room.name, used.package);
            let cure = format!("pass what it needs as a value or a trait; the doors are in {HERE}");
            Problem::new(&room.manifest, what, cure)
        })
        .collect()
}

fn allows(room: &str, doors: &Doors, kind: Kind, used: &str) -> bool {
    match (kind, doors) {
        (Kind::Dev, _) => room == "e2e" || used != "pilothouse",
        (_, Only(rooms)) => rooms.contains(&used),
        (_, AllBut(rooms)) => !rooms.contains(&used),
    }
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    fn house(members: &str, manifests: &[(&str, &str)]) -> Tree {
        let root = format!("[workspace]\nmembers = [{members}]\n");
        let files: Vec<(&str, &str)> =
            std::iter::once(("Cargo.toml", root.as_str())).chain(manifests.iter().copied()).collect();
        Tree::of(&files)
    }

    #[test]
    fn arrows_point_down_only() {
        for (at, (room, doors)) in TABLE.iter().enumerate() {
            if let Only(rooms) = doors {
                assert!(rooms.iter().all(|used| place(used) < Some(at)), "{room} uses a room below it");
            }
        }
    }

    #[test]
    fn a_door_that_is_not_there_is_named() {
        let model = "[package]\nname = 'model'\n[dependencies]\napi.workspace = true\nstore.workspace = true";
        let found = shown(check(&house("'src/model'", &[("src/model/Cargo.toml", model)])));
        let wanted = "src/model/Cargo.toml: model may not use store; pass what it needs as a value or a trait; the doors are in src/testkit/tidy/doors.rs";
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn tests_see_more_but_not_the_binary() {
        let xds = "[package]\nname = 'xds'\n[dev-dependencies]\ntestkit.workspace = true\nstore.workspace = true\npilothouse.workspace = true";
        let found = shown(check(&house("'src/xds'", &[("src/xds/Cargo.toml", xds)])));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("xds may not use pilothouse"), "{found:?}");
    }

    #[test]
    fn a_renamed_room_is_seen() {
        let ca = "[package]\nname = 'ca'\n[dependencies]\nworld = { package = 'model', path = '../model' }";
        assert!(
            shown(check(&house("'src/ca'", &[("src/ca/Cargo.toml", ca)])))[0]
                .contains("ca may not use model")
        );
    }

    #[test]
    fn a_room_without_a_line_is_named() {
        let found =
            shown(check(&house("'src/attic'", &[("src/attic/Cargo.toml", "[package]\nname = 'attic'")])));
        assert!(found[0].contains("the room attic has no line in the door table"), "{found:?}");
    }

    #[test]
    fn members_out_of_order_are_named() {
        let manifests = [
            ("src/xds/Cargo.toml", "[package]\nname = 'xds'"),
            ("src/api/Cargo.toml", "[package]\nname = 'api'"),
        ];
        assert_eq!(shown(check_order(&house("'src/api', 'src/xds'", &manifests))), [""; 0]);
        let found = shown(check_order(&house("'src/xds', 'src/api'", &manifests)));
        assert!(found[0].contains("the member api stands after xds"), "{found:?}");
    }
}
