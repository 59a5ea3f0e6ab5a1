//! What a machine asks of the host's sockets, as it reaches whoever checks the manifest: any operation, any number, any
//! address. The policy lets it listen on any free port and connect to an address that nobody has.

use crate::input::Input;
use abi::hostnet::{Address, Request, SendHeader};
use abi::manifest::{Connect, Host, Listen, Network, Policy, Protocol};
use monitor::Publish;
use monitor::sockets::HostSockets;

/// Runs an input: requests and datagrams, one after the other.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let any = |protocol| Listen { protocol, first_port: 0, last_port: 0 };
    let nobody =
        |protocol| Connect { protocol, host: Host::Prefix(vec![127, 255, 255, 0], 24), first_port: 1, last_port: 3 };
    let network = Network {
        listen: vec![any(Protocol::Tcp), any(Protocol::Udp)],
        connect: vec![nobody(Protocol::Tcp), nobody(Protocol::Udp)],
    };
    let publish = [Protocol::Tcp, Protocol::Udp].map(|protocol| Publish::default_for(protocol, 0));
    let mut sockets = HostSockets::new(Policy::new(network, None), publish.to_vec(), None);
    while !input.is_empty() {
        let operation = u32::from(input.byte());
        let socket = u32::from(input.byte() & 7);
        let address = address(&mut input);
        if operation >= 16 {
            let length = usize::from(input.byte());
            let bytes = input.bytes(length);
            let (class, segment, source) = (input.half(), input.half(), self::address(&mut input));
            let header = SendHeader { socket, address, class, segment, source, ..SendHeader::default() };
            let answer = sockets.send_to(&header, bytes);
            assert!(answer.response.status <= 0);
            continue;
        }
        let argument = if input.byte() & 7 == 0 { input.word() } else { u32::from(input.byte() & 15) };
        let request = Request { operation, socket, address, argument, value: input.word() };
        let answer = sockets.request(&request, None);
        assert!(answer.response.status <= 0, "an answer that is neither success nor an errno");
        assert!(answer.response.status == 0 || answer.descriptor.is_none() || operation == 4);
    }
    // Names are only looked at here; looking them up would start programs.
}

fn address(input: &mut Input<'_>) -> Address {
    let mut address = Address { family: [0, 4, 4, 4, 6, 6, 9, 2][usize::from(input.byte() & 7)], ..Address::default() };
    address.port = if input.byte() & 1 == 0 { u16::from(input.byte() & 3) } else { input.half() };
    match input.byte() & 3 {
        0 => address.bytes[..4].copy_from_slice(&[127, 255, 255, 7]),
        1 => {}
        _ => {
            let bytes = input.bytes(16);
            address.bytes[..bytes.len()].copy_from_slice(bytes);
        }
    }
    address
}
