//! Who is there, and what it offers.

use lanc_core::counters::Drop;
use lanc_core::error::ErrorCode;
use lanc_core::{Config, Target, Trust};

use crate::scene::{End, Row, Scene, VILLAIN, hello, message, row, session};

pub(crate) fn rows() -> Vec<Row> {
    let dropped = End::Dropped;
    vec![
        row("the node's own hello", own_hello, dropped(Drop::Own)),
        row("two hundred hellos from one address", hello_flood, dropped(Drop::RateLimited)),
        row("ten nodes at one address of ten ports", ten_ports, dropped(Drop::TableFull)),
        Row {
            config: Some(Config::default().with_max_tentative(8)),
            ..row("more strangers than places", many_strangers, End::Limit("max_tentative"))
        },
        Row {
            config: Some(Config::default().with_max_tentative(9)),
            ..row(
                "a ninth node of one address where no place is left",
                ninth,
                dropped(Drop::TableFull),
            )
        },
        row("a hello in a friend's name", friends_hello, End::Quiet),
        row("a session that begins like a friend's", same_beginning, dropped(Drop::Forged)),
        row("another session from a friend's address", friends_address, End::Quiet),
        row("an echo of a token that was never sent", wrong_echo, End::Quiet),
        row("the same token ten times", same_token, End::Quiet),
        row("a session that changes with every hello", changing_session, End::Quiet),
        row("a lease of ten thousand years", endless_lease, End::Quiet),
        row("ten thousand functions", many_functions, End::Limit("max_functions_per_peer")),
        row("part 7 of 3", part_beyond, dropped(Drop::BadField)),
        row("parts that contradict each other", contradictory_parts, End::Quiet),
        row("functions of nobody", nobodys_functions, dropped(Drop::UnknownPeer)),
        row("functions in a friend's name", friends_functions, dropped(Drop::UnknownPeer)),
        row("a revision that jumps to the last number", last_revision, End::Quiet),
        row("a farewell in a friend's name", friends_bye, dropped(Drop::UnknownPeer)),
        row("a farewell in the node's name", own_bye, dropped(Drop::Own)),
        row("a pong that nobody asked for", stray_pong, dropped(Drop::UnknownCall)),
        row("a flood of pings", pings, dropped(Drop::RateLimited)),
    ]
}

fn own_hello(s: &mut Scene) {
    let sid = s.node().core.session().to_string();
    s.say(VILLAIN, &hello(VILLAIN, "").replace(&session(VILLAIN), &sid));
}

fn hello_flood(s: &mut Scene) {
    for number in 0..200_u32 {
        let sid = format!("a{number:015x}{number:016x}");
        s.say(VILLAIN, &hello(VILLAIN, "").replace(&session(VILLAIN), &sid));
    }
    assert!(s.node().core.tables().peers <= 2, "{:?}", s.node().core.tables());
}

fn ten_ports(s: &mut Scene) {
    ports(s, 10);
}

fn ports(s: &mut Scene, count: u16) {
    for port in 1..=count {
        let mut from = lanc_testkit::solo::address(VILLAIN);
        from.set_port(port);
        let text =
            hello(VILLAIN, "").replace(&session(VILLAIN), &format!("a{port:015x}{port:016x}"));
        s.node().datagram(from, lanc_core::ports::Cast::Unicast, text.as_bytes());
    }
}

fn many_strangers(s: &mut Scene) {
    for host in 2..90 {
        s.greet(host, "");
    }
    let tables = s.node().core.tables();
    assert!(tables.peers <= 9, "{tables:?}");
}

fn ninth(s: &mut Scene) {
    s.greet(3, "");
    ports(s, 9);
    let now = s.node().now;
    let peers = s.node().core.peers(now);
    assert!(peers.iter().any(|peer| peer.name == "v3"), "it has made room for one that is refused");
}

fn friends_hello(s: &mut Scene) {
    let sid = s.friends_session();
    s.say(VILLAIN, &hello(VILLAIN, ",\"iv\":100,\"tcp\":9").replace(&session(VILLAIN), &sid));
    let now = s.node().now;
    let friend = s.node().core.peers(now).remove(0);
    assert_eq!(friend.name, "other", "the friend has got another name");
    assert_eq!(friend.endpoint.socket_addr(), Some(s.friends_address()));
}

fn same_beginning(s: &mut Scene) {
    let sid = format!("{}{}", &s.friends_session()[..16], "0".repeat(16));
    s.say(VILLAIN, &hello(VILLAIN, "").replace(&session(VILLAIN), &sid));
}

fn friends_address(s: &mut Scene) {
    let from = s.friends_address();
    let text = hello(VILLAIN, "");
    s.node().datagram(from, lanc_core::ports::Cast::Unicast, text.as_bytes());
    s.pass(2000);
    let now = s.node().now;
    assert_eq!(s.node().core.peers(now)[0].trust, Trust::Verified);
    s.friend_is_served();
}

fn wrong_echo(s: &mut Scene) {
    s.greet(VILLAIN, ",\"echo\":\"0123456789abcdef\"");
    let now = s.node().now;
    let peers = s.node().core.peers(now);
    let villain = peers.iter().find(|peer| peer.name == "v2").unwrap();
    assert_eq!(villain.trust, Trust::Tentative);
}

fn same_token(s: &mut Scene) {
    for _ in 0..10 {
        s.greet(VILLAIN, ",\"tok\":\"0123456789abcdef\"");
    }
    let bytes: usize = s.heard_by(VILLAIN).map(str::len).sum();
    assert!(bytes <= 1200, "{bytes} bytes to an address that has proved nothing");
}

fn changing_session(s: &mut Scene) {
    for number in 0..20 {
        let sid = format!("a{number:015x}{number:016x}");
        s.say(VILLAIN, &hello(VILLAIN, "").replace(&session(VILLAIN), &sid));
        assert!(s.node().core.tables().peers <= 2);
        // Nobody waits for what such a one might offer.
        let call = s.begin(0, "nobody", Target::Any);
        assert_eq!(s.outcome(0, call), Some(Err(ErrorCode::NO_PROVIDER)));
    }
}

fn endless_lease(s: &mut Scene) {
    s.prove(VILLAIN);
    s.greet(VILLAIN, ",\"iv\":18446744073709551615,\"feat\":9");
}

fn many_functions(s: &mut Scene) {
    s.prove(VILLAIN);
    let sid = session(VILLAIN);
    for part in 0..40 {
        let names: Vec<String> = (0..250).map(|n| format!("\"f{part}_{n}\"")).collect();
        let data = format!(",\"data\":[{}]", names.join(","));
        let x = format!(",\"x\":{{\"sid\":\"{sid}\",\"rev\":1,\"part\":{part},\"parts\":40}}");
        s.say(VILLAIN, &message("func", &(data + &x)));
    }
    let functions = s.node().core.tables().functions;
    assert!(functions <= 1024 + 8, "{functions} functions");
}

fn func(s: &mut Scene, x: &str, names: &str) {
    let x = format!(",\"x\":{{\"sid\":\"{}\"{x}}}", session(VILLAIN));
    s.say(VILLAIN, &message("func", &format!(",\"data\":[{names}]{x}")));
}

fn part_beyond(s: &mut Scene) {
    s.greet(VILLAIN, "");
    func(s, ",\"rev\":1,\"part\":7,\"parts\":3", "\"a\"");
}

fn contradictory_parts(s: &mut Scene) {
    s.greet(VILLAIN, ",\"rev\":1");
    for parts in [3, 1, 2, 4096, 1] {
        func(s, &format!(",\"rev\":1,\"part\":0,\"parts\":{parts}"), "\"a\",\"b\"");
        func(s, &format!(",\"rev\":1,\"part\":0,\"parts\":{parts}"), "\"c\"");
    }
    let offered = s.node().core.functions().iter().map(|f| f.providers.len()).sum::<usize>();
    assert!(offered <= 4 + 3, "{:?}", s.node().core.functions());
}

fn nobodys_functions(s: &mut Scene) {
    func(s, ",\"rev\":1", "\"echo\"");
}

fn friends_functions(s: &mut Scene) {
    let sid = s.friends_session();
    let text = message("func", &format!(",\"data\":[],\"x\":{{\"sid\":\"{sid}\",\"rev\":99}}"));
    s.say(VILLAIN, &text);
    let functions = s.node().core.functions();
    assert!(functions.iter().any(|f| !f.providers.is_empty()), "the friend's functions are gone");
}

fn last_revision(s: &mut Scene) {
    s.greet(VILLAIN, ",\"rev\":18446744073709551615");
    func(s, ",\"rev\":18446744073709551615", "\"a\"");
    func(s, ",\"rev\":0", "\"b\"");
}

fn friends_bye(s: &mut Scene) {
    let sid = s.friends_session();
    s.say(VILLAIN, &message("bye", &format!(",\"data\":{{\"sid\":\"{sid}\"}}")));
    assert_eq!(s.node().core.tables().peers, 1);
}

fn own_bye(s: &mut Scene) {
    let sid = s.node().core.session().to_string();
    s.say(VILLAIN, &message("bye", &format!(",\"data\":{{\"sid\":\"{sid}\"}}")));
}

fn stray_pong(s: &mut Scene) {
    s.say(VILLAIN, &message("pong", ",\"data\":7"));
}

fn pings(s: &mut Scene) {
    for _ in 0..300 {
        s.say(VILLAIN, &message("ping", ",\"data\":7"));
    }
    let bytes: usize = s.heard_by(VILLAIN).map(str::len).sum();
    assert!(bytes <= 1200, "{bytes} bytes to an address that has proved nothing");
}
