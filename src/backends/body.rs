//! Bodies that come in parts.

use bytes::{Bytes, BytesMut};

/// Bytes of one block. A body that fits into one is never copied again.
const BLOCK: usize = 1 << 20;

/// A body as far as it has come. It grows by blocks: one that doubles would hold its bytes three times over while it moves.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    full: Vec<Bytes>,
    last: BytesMut,
    len: usize,
}

impl Gathered {
    /// How many bytes have come.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, mut part: &[u8]) {
        self.len += part.len();
        while !part.is_empty() {
            if self.last.len() == BLOCK {
                self.full.push(std::mem::replace(&mut self.last, BytesMut::with_capacity(BLOCK)).freeze());
            }
            let (fits, rest) = part.split_at(part.len().min(BLOCK - self.last.len()));
            self.last.extend_from_slice(fits);
            part = rest;
        }
    }

    /// All of it.
    pub(super) fn whole(self) -> Bytes {
        if self.full.is_empty() {
            return self.last.freeze();
        }
        let mut whole = BytesMut::with_capacity(self.len);
        for block in self.full {
            whole.extend_from_slice(&block);
        }
        whole.extend_from_slice(&self.last);
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_sum_of_its_parts() {
        for sizes in [&[][..], &[1, 2, 3], &[BLOCK], &[BLOCK - 1, 2], &[1, 3 * BLOCK, 5]] {
            let mut gathered = Gathered::default();
            let mut expected = Vec::new();
            for (place, size) in sizes.iter().enumerate() {
                let part = vec![u8::try_from(place).unwrap(); *size];
                gathered.push(&part);
                expected.extend(part);
            }
            assert_eq!(gathered.len(), expected.len());
            assert!(gathered.whole() == expected, "{sizes:?}");
        }
    }
}
