//! A far end that sends anything.

use super::*;

/// A record that is often nearly right, for a stream from `base` on.
fn any_record(dice: &mut Dice, base: usize) -> Vec<u8> {
    // Mostly of the far end's own numbers, which are those of the other parity than `base`.
    let wild = usize::from(dice.roll(6) == 0);
    let number = u32::try_from(base + 1 + 2 * dice.roll(8) + wild).unwrap();
    match dice.roll(20) {
        0 => (0..dice.roll(14)).map(|_| u8::try_from(dice.roll(256)).unwrap()).collect(),
        1 => credit(number, u32::try_from(dice.roll(1 << 31)).unwrap()),
        2 => reset(number, ErrorCode(u16::try_from(dice.roll(1 << 16)).unwrap())),
        3 if dice.roll(400) == 0 => bytes(number + 40, &pattern(dice.roll(70))),
        4..=7 => bytes(number, b""),
        _ => bytes(number, &pattern(dice.roll(25))),
    }
}

#[test]
fn any_records_neither_panic_nor_grow_memory() {
    // Unread and unsent bytes of 8 streams, in buffers of up to twice the size; messages in, up
    // to twice; messages out; the queues; a buffer that is kept and one that is lent.
    let bound = 8 * 2 * 2 * WINDOW + 2 * 3000 + 5000 + 1024 + 2 * 1000;
    let (mut errors, mut messages, mut turned_away) = (0, 0, 0);
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let mut end: End = end(seed % 2 == 0, limits());
        // Half of the links are not read by the far end.
        let is_stuck = seed % 4 < 2;
        for round in 0..10_000 {
            // The numbers of the end under test are odd where the seed is even.
            let base = round / 20 * 2 + usize::from(seed % 2 == 0);
            match end.on_record(&any_record(&mut dice, base)) {
                Ok(Arrived::Message(buffer)) => {
                    messages += 1;
                    end.recycle(buffer);
                }
                Ok(Arrived::TurnedAway(_)) => turned_away += 1,
                Ok(_) => {}
                // A node would close the link. This one must bear it all the same.
                Err(_) => errors += 1,
            }
            let number = u32::try_from(base + dice.roll(16)).unwrap();
            match dice.roll(16) {
                0 => drop(end.expect(number)),
                1 => drop(end.open().map(|number| end.announced(number))),
                2 => drop(end.write(number, &pattern(dice.roll(100)))),
                3 => drop(end.finish(number)),
                4 => drop(end.reset(number, ErrorCode::CANCELLED)),
                5 => drop(end.push_message("m", pattern(dice.roll(1001)))),
                6..=9 => drop(end.read(number, dice.roll(100), &mut vec![])),
                _ if is_stuck => {}
                _ => drop(next(&mut end)),
            }
            assert!(memory(&end) <= bound, "{} > {bound}", memory(&end));
            let held = end.held();
            assert!(held.streams <= 8 && held.messages_in <= 4 && held.bytes_in <= 3000);
            assert!(held.unread <= 8 * WINDOW && held.unsent <= 8 * WINDOW);
            assert!(held.bytes_out <= 5000 && end.refusals.len() <= MAX_REFUSALS);
        }
        // What is held can be given back.
        let numbers: Vec<u32> = end.table.keys().copied().collect();
        for number in numbers {
            end.remove(number);
        }
        while let Some((_, bytes)) = end.waiting.pop_front() {
            end.queued -= bytes.len();
            end.account.refund(bytes.len());
        }
        assert_eq!(end.held(), Held::default(), "the sums are those of the table");
    }
    assert!(errors > 1000 && messages > 1000 && turned_away > 100);
}
