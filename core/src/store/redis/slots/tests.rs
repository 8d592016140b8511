//! Slots beside the examples of the specification, and numbers for all of them.

use super::*;

#[test]
fn slots_are_those_of_the_specification() {
    assert_eq!(crc(0, "123456789"), 0x31C3);
    assert_eq!(slot("{user1000}.following"), slot("{user1000}.followers"));
    for (key, tag) in [
        ("foo{}{bar}", None),
        ("foo{{bar}}zap", Some("{bar")),
        ("foo{bar}{zap}", Some("bar")),
        ("foo}bar", None),
        ("}{foo", None),
    ] {
        assert_eq!(hash_tag(key), tag);
        assert_eq!(slot(key), slot_of(crc(0, tag.unwrap_or(key))));
    }
}

#[test]
fn numbers_of_six_digits_reach_every_slot_behind_any_text() {
    // What stands before them moves all slots alike, so one text is every text.
    let mut reached = vec![false; SLOTS];
    for number in 100_000..1_000_000 {
        reached[usize::from(slot_of(crc(0, &number.to_string())))] = true;
    }
    assert!(reached.iter().all(|&reached| reached));
}

#[test]
fn the_smallest_number_of_each_slot_is_found() {
    for text in ["lock||", "myteam:lock||"] {
        let numbers = Numbers::behind(text);
        let mut left: Vec<u16> = (0..).take(SLOTS).collect();
        let mut number = 0;
        while !left.is_empty() {
            let found = slot(&format!("{text}{number}"));
            if let Ok(at) = left.binary_search(&found) {
                left.remove(at);
                assert_eq!(numbers.of(found), number, "slot {found} behind {text}");
            }
            number += 1;
        }
    }
}
