//! Hash slots, by the rule of the Redis cluster specification, and texts that fall into a given one.

/// How many slots a cluster has.
const COUNT: u16 = 16_384;
pub(super) const SLOTS: usize = COUNT as usize;
/// CRC16-CCITT as XMODEM has it: the polynomial, most significant bit first, beginning with zero.
const POLYNOMIAL: u16 = 0x1021;

const STEPS: [u16; 256] = {
    let mut steps = [0; 256];
    let mut byte: u16 = 0;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ POLYNOMIAL
            };
            bit += 1;
        }
        steps[byte as usize] = crc;
        byte += 1;
    }
    steps
};

fn step(crc: u16, byte: u8) -> u16 {
    let [high, low] = crc.to_be_bytes();
    u16::from_be_bytes([low, 0]) ^ STEPS[usize::from(high ^ byte)]
}

fn crc(begun: u16, text: &str) -> u16 {
    text.bytes().fold(begun, step)
}

fn slot_of(crc: u16) -> u16 {
    crc % COUNT
}

/// The hash tag of `key`: what stands between its first `{` and the next `}`, unless that is nothing.
pub(super) fn hash_tag(key: &str) -> Option<&str> {
    let (_, after) = key.split_once('{')?;
    let (tag, _) = after.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// The slot of `key`.
pub(super) fn slot(key: &str) -> u16 {
    slot_of(crc(0, hash_tag(key).unwrap_or(key)))
}

/// For each slot the smallest decimal number that, written behind a text, makes a hash tag of that slot.
pub(super) struct Numbers(Box<[u32]>);

impl Numbers {
    /// The numbers behind `text`.
    pub(super) fn behind(text: &str) -> Self {
        const NONE: u32 = u32::MAX;
        let begun = crc(0, text);
        let mut smallest = vec![NONE; SLOTS];
        let mut missing = SLOTS;
        // Every number's, since the numbers that are one digit longer begin with it.
        let mut sums: Vec<u16> = Vec::with_capacity(SLOTS * 8);
        // Numbers of six digits alone reach every slot, behind any text.
        for number in 0_u32.. {
            let at = number as usize;
            let shorter = if at < 10 { begun } else { sums[at / 10] };
            let sum = step(shorter, b"0123456789"[at % 10]);
            sums.push(sum);
            let found = &mut smallest[usize::from(slot_of(sum))];
            if *found == NONE {
                *found = number;
                missing -= 1;
            }
            if missing == 0 {
                break;
            }
        }
        Self(smallest.into())
    }

    /// The number for `slot`.
    pub(super) fn of(&self, slot: u16) -> u32 {
        self.0[usize::from(slot)]
    }
}

#[cfg(test)]
mod tests;
