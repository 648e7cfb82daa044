//! Which one of many pages is another one than before, from three sums over all of them. No I/O.

/// The prime 2^61 - 1: sums of page tags are taken modulo it.
const PRIME: u64 = (1 << 61) - 1;
/// Bytes of the sums.
pub(super) const LOCATOR: usize = 24;

/// Sums over the tags of all pages: of the tags, of the tags times their page's number, and times its square. When one
/// page has another tag than before, the differences of the sums tell its number; when several have, they contradict
/// each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Locator([u64; 3]);

impl Locator {
    /// Adds page `number` (from 1).
    pub(super) fn add(&mut self, number: u64, tag: &[u8; 16]) {
        let mut term = (u128::from_be_bytes(*tag) % u128::from(PRIME)) as u64;
        for sum in &mut self.0 {
            *sum = (*sum + term) % PRIME;
            term = times(term, number);
        }
    }

    /// The only page of `pages` that is another one in `now`; `None` when that cannot be said.
    pub(super) fn changed_page(&self, now: &Locator, pages: u64) -> Option<u64> {
        let difference = |n: usize| (now.0[n] % PRIME + PRIME - self.0[n] % PRIME) % PRIME;
        let (tag, once, twice) = (difference(0), difference(1), difference(2));
        if tag == 0 {
            return None;
        }
        let page = times(once, inverse(tag));
        ((1..=pages).contains(&page) && twice == times(once, page)).then_some(page)
    }

    pub(super) fn bytes(&self) -> [u8; LOCATOR] {
        let mut bytes = [0; LOCATOR];
        for (out, sum) in bytes.chunks_exact_mut(8).zip(self.0) {
            out.copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    pub(super) fn parse(bytes: &[u8; LOCATOR]) -> Locator {
        let mut sums = [0; 3];
        for (sum, bytes) in sums.iter_mut().zip(bytes.chunks_exact(8)) {
            *sum = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        }
        Locator(sums)
    }
}

fn times(a: u64, b: u64) -> u64 {
    (u128::from(a % PRIME) * u128::from(b % PRIME) % u128::from(PRIME)) as u64
}

/// By Fermat: a^(p - 2).
fn inverse(a: u64) -> u64 {
    let (mut power, mut result, mut exponent) = (a, 1, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, power);
        }
        power = times(power, power);
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(tags: &[[u8; 16]]) -> Locator {
        let mut locator = Locator::default();
        for (number, tag) in (1..).zip(tags) {
            locator.add(number, tag);
        }
        locator
    }

    #[test]
    fn an_inverse_is_one() {
        for a in [1, 2, 3, 1 << 40, PRIME - 1] {
            assert_eq!(times(a, inverse(a)), 1);
        }
    }

    proptest! {
        #[test]
        fn one_changed_page_is_found_and_several_are_not_blamed_on_one(
            tags in prop::collection::vec(any::<[u8; 16]>(), 2..200),
            one: prop::sample::Index,
            other: prop::sample::Index,
            flip in 1..=u8::MAX,
            at in 0usize..16,
        ) {
            let pages = tags.len() as u64;
            let sealed = of(&tags);
            prop_assert_eq!(sealed.changed_page(&of(&tags), pages), None);
            prop_assert_eq!(Locator::parse(&sealed.bytes()), sealed);
            let mut changed = tags.clone();
            let (one, other) = (one.index(tags.len()), other.index(tags.len()));
            changed[one][at] ^= flip;
            prop_assert_eq!(sealed.changed_page(&of(&changed), pages), Some(one as u64 + 1));
            if one != other {
                changed[other][at] ^= flip;
                prop_assert_eq!(sealed.changed_page(&of(&changed), pages), None);
            }
        }

        #[test]
        fn any_sums_name_a_page_that_exists_or_none(a: [u8; LOCATOR], b: [u8; LOCATOR], pages in 0u64..50) {
            let page = Locator::parse(&a).changed_page(&Locator::parse(&b), pages);
            prop_assert!(page.is_none_or(|page| (1..=pages).contains(&page)));
        }
    }
}
