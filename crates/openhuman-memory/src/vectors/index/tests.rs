use proptest::prelude::*;

use super::*;

fn vector(seed: u64, dimensions: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..dimensions)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn all(count: usize) -> Slots {
    let mut slots = Slots::none(count);
    (0..count).for_each(|slot| slots.insert(slot));
    slots
}

#[test]
fn the_highest_come_first_and_equal_ones_in_order() {
    assert_eq!(highest(&[0.1, 0.9, 0.9, -1.0], 3), [(1, 0.9), (2, 0.9), (0, 0.1)]);
    assert_eq!(highest(&[0.5, f32::NEG_INFINITY], 9), [(0, 0.5)]);
    assert!(highest(&[0.5], 0).is_empty());
}

#[test]
fn every_level_scans_the_same() {
    let mut vectors = Vectors::coded(vec![0.01; 200]);
    for seed in 0..3000 {
        vectors.push(Code::new(&vector(seed, 200)).as_ref());
    }
    let query = vectors.query(&vector(7, 200)).unwrap();
    let expected = vectors.scan_with(Level::Scalar, &query, &all(3000), 3000);
    for level in Level::available() {
        let cosines = vectors.scan_with(level, &query, &all(3000), 3000);
        assert!(
            cosines
                .iter()
                .zip(&expected)
                .all(|(a, b)| a.to_bits() == b.to_bits()),
            "{level}"
        );
    }
    assert_eq!(highest(&expected, 1)[0].0, 7);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn highest_is_a_sort(scores in prop::collection::vec(prop_oneof![
        (-4i8..4).prop_map(f32::from), Just(f32::NEG_INFINITY), -1.0f32..1.0
    ], 0..700), count in 0usize..40) {
        let mut sorted: Vec<(usize, f32)> =
            scores.iter().copied().enumerate().filter(|(_, score)| score.is_finite()).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        sorted.truncate(count);
        let found = highest(&scores, count);
        let values = |list: &[(usize, f32)]| list.iter().map(|(_, score)| *score).collect::<Vec<_>>();
        prop_assert_eq!(values(&found), values(&sorted));
    }

    /// Both tiers agree on what is allowed, and the bits find what the bytes find.
    #[test]
    fn filters_apply_inside_the_scan(
        count in 1usize..300,
        allowed in prop::collection::hash_set(0usize..300, 0..60),
        wiped in prop::collection::hash_set(0usize..300, 0..20),
    ) {
        let mut slots = Slots::none(count);
        allowed.iter().filter(|slot| **slot < count).for_each(|slot| slots.insert(*slot));
        let mut listed = Vectors::coded(vec![0.0; 64]);
        listed.set_lists(20, 1.0);
        for mut vectors in [Vectors::exact(64), Vectors::coded(vec![0.0; 64]), listed] {
            (0..count).for_each(|slot| vectors.push(Code::new(&vector(slot as u64, 64)).as_ref()));
            wiped.iter().filter(|slot| **slot < count).for_each(|slot| vectors.wipe(*slot));
            vectors.group_if_large();
            let query = vectors.query(&vector(3, 64)).unwrap();
            let cosines = vectors.scan(&query, &slots, count);
            for (slot, cosine) in cosines.iter().enumerate() {
                let expected = slots.contains(slot) && !wiped.contains(&slot);
                prop_assert_eq!(cosine.is_finite(), expected, "{} {}", slot, cosine);
            }
        }
    }

    /// With all lists looked at, lists give the same as no lists, whenever they were made; few allowed slots are
    /// estimated whatever their lists.
    #[test]
    fn lists_find_what_is_found_without(
        steps in prop::collection::vec((0u8..8, 1usize..60), 1..30),
        allowed in prop::collection::hash_set(0usize..900, 0..400),
        probed in prop::sample::select(vec![1.0f32, 0.3]),
    ) {
        let (mut plain, mut listed) = (Vectors::coded(vec![0.05; 100]), Vectors::coded(vec![0.05; 100]));
        listed.set_lists(50, probed);
        let mut count = 0;
        for (step, size) in steps {
            if step == 0 && count > 0 {
                let slot = size * 7 % count;
                plain.wipe(slot);
                listed.wipe(slot);
            } else {
                for _ in 0..size {
                    let code = (count % 11 != 3).then(|| Code::new(&vector(count as u64, 100))).flatten();
                    plain.push(code.as_ref());
                    listed.push(code.as_ref());
                    count += 1;
                }
                listed.group_if_large();
            }
        }
        prop_assert_eq!(listed.lists() > 0, count >= 50);
        let mut slots = Slots::none(count);
        allowed.iter().filter(|slot| **slot < count).for_each(|slot| slots.insert(*slot));
        let query = plain.query(&vector(7, 100)).unwrap();
        let estimates = plain.scan(&query, &slots, count);
        prop_assert_eq!(&listed.scan(&query, &slots, count), &estimates);
        let expected = plain.nearest(&query, &slots, count, 20);
        let found = listed.nearest(&query, &slots, count, 20);
        prop_assert!(found.iter().all(|(slot, estimate)| slots.contains(*slot) && estimates[*slot] == *estimate));
        if probed == 1.0 || slots.count() as f32 <= probed * count as f32 / 2.0 {
            prop_assert_eq!(&found, &expected);
        }
    }
}
