//! The library OS's reader of the manifest against minicbor, which writes it and is the tool's reader.

use abi::manifest::{Connect, Host, Known, Listen, Manifest, Names, Network, Protocol};
use ampoule_abi as abi;
use proptest::collection::vec;
use proptest::prelude::*;

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)]
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        Just(Host::Any),
        "[a-zé*.]{0,300}".prop_map(Host::Name),
        (vec(any::<u8>(), 0..17), any::<u8>()).prop_map(|(prefix, bits)| Host::Prefix(prefix, bits)),
    ]
}

fn network() -> impl Strategy<Value = Network> {
    let listen = (protocol(), any::<u16>(), any::<u16>()).prop_map(|(protocol, first_port, last_port)| Listen {
        protocol,
        first_port,
        last_port,
    });
    let connect = (protocol(), host(), any::<u16>(), any::<u16>())
        .prop_map(|(protocol, host, first_port, last_port)| Connect { protocol, host, first_port, last_port });
    (vec(listen, 0..30), vec(connect, 0..30)).prop_map(|(listen, connect)| Network { listen, connect })
}

fn names() -> impl Strategy<Value = Option<Names>> {
    let known = (".{0,30}", vec(vec(any::<u8>(), 0..17), 0..4)).prop_map(|(name, addresses)| Known { name, addresses });
    let names = (vec(known, 0..10), vec(".{0,30}", 0..5)).prop_map(|(hosts, search)| Names { hosts, search });
    proptest::option::of(names)
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let words = || vec(".{0,40}", 0..30);
    (".{0,30}", any::<u64>(), words(), words(), proptest::option::of(network())).prop_map(
        |(name, memory, arguments, environment, network)| Manifest {
            name,
            memory,
            arguments,
            environment,
            network,
            ..Manifest::default()
        },
    )
}

fn encoded(manifest: &Manifest) -> Vec<u8> {
    minicbor::to_vec(manifest).unwrap_or_default()
}

proptest! {
    #[test]
    fn both_read_the_same(manifest in manifest()) {
        prop_assert_eq!(Network::of_sealed(&encoded(&manifest)), manifest.network);
    }

    #[test]
    fn both_read_the_same_names(manifest in manifest(), names in names()) {
        let manifest = Manifest { names, ..manifest };
        prop_assert_eq!(Names::of_sealed(&encoded(&manifest)), manifest.names.clone());
        prop_assert_eq!(Network::of_sealed(&encoded(&manifest)), manifest.network.clone());
    }

    #[test]
    fn what_is_cut_short_has_no_network(manifest in manifest(), keep in 0.0..1.0) {
        let bytes = encoded(&manifest);
        prop_assert_eq!(Network::of_sealed(&bytes[..(bytes.len() as f64 * keep) as usize]), None);
    }

    #[test]
    fn nonsense_is_read_or_refused(mut bytes in vec(any::<u8>(), 0..200), manifest in manifest(), at in any::<prop::sample::Index>()) {
        let _ = Network::of_sealed(&bytes);
        bytes.splice(0..0, [0x87, 0x60, 0x60, 0, 0, 0x80, 0x80]);
        let _ = Network::of_sealed(&bytes);
        let mut damaged = encoded(&manifest);
        let at = at.index(damaged.len());
        damaged[at] ^= 0xff;
        let _ = Network::of_sealed(&damaged);
        let _ = Names::of_sealed(&damaged);
        let _ = Names::of_sealed(&bytes);
    }
}

/// A tool that knows more fields than this library OS: the manifest's array has one more, and so has each structure.
#[test]
fn fields_of_a_newer_tool_are_passed_over() {
    let rule = Listen { protocol: Protocol::Udp, first_port: 53, last_port: 53 };
    let old = Network { listen: vec![rule.clone()], connect: vec![] };
    #[rustfmt::skip]
    let new = [
        0x88, 0x60, 0x60, 0, 0, 0x80, 0x80, // name to environment, empty
        0x83, // network
            0x81, 0x84, 1, 0x18, 53, 0x18, 53, 0xa1, 0x61, b'x', 0x82, 0x41, 0, 0xf6, // listen, and {"x": [h'00', null]}
            0x80, // connect
            0xc1, 0x1a, 0, 0, 0, 0, // 1(0)
        0xfb, 0, 0, 0, 0, 0, 0, 0, 0, // 0.0
    ];
    assert_eq!(Network::of_sealed(&new), Some(old));
    let absent = [0x88, 0x60, 0x60, 0, 0, 0x80, 0x80, 0xf6, 0];
    assert_eq!(Network::of_sealed(&absent), None);
}
