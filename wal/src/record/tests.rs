use super::*;

const HEADER: RecordHeader = RecordHeader {
    payload_len: 150,
    lsn: 8192,
    durable: 8000,
    salt: 77,
    tag: 42,
    payload_crc: 0xDEAD_BEEF,
    kind: RecordKind(3),
};

#[test]
fn a_header_decodes_to_what_was_encoded() {
    let key = HeaderKey::new(&[9; 16]);
    assert_eq!(RecordHeader::decode(&HEADER.encode(&key), &key), Some(HEADER));
    assert_eq!(HEADER.size(), 200);
    assert_eq!(HEADER.end(), Some(8392));
}

#[test]
fn a_header_of_another_database_or_with_a_flipped_bit_is_none() {
    let key = HeaderKey::new(&[9; 16]);
    let good = HEADER.encode(&key);
    assert_eq!(RecordHeader::decode(&good, &HeaderKey::new(&[8; 16])), None);
    for bit in 0..HEADER_BYTES * 8 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(RecordHeader::decode(&bad, &key), None, "bit {bit}");
    }
    assert_eq!(RecordHeader::decode(&[0; HEADER_BYTES], &key), None);
}

#[test]
fn implausible_headers_are_none_whatever_their_checksum() {
    let key = HeaderKey::new(&[9; 16]);
    for bad in [
        RecordHeader { lsn: 0, durable: 0, ..HEADER },
        RecordHeader { lsn: 8193, ..HEADER },
        RecordHeader { durable: 8193, ..HEADER },
        RecordHeader { lsn: u64::MAX - 199, ..HEADER },
        RecordHeader { kind: RecordKind(0xFF), payload_len: 0, ..HEADER },
        RecordHeader { kind: RecordKind(0xF3), payload_len: 0, ..HEADER },
        RecordHeader { kind: RecordKind::CLOSE, ..HEADER },
    ] {
        assert_eq!(RecordHeader::decode(&bad.encode(&key), &key), None, "{bad:?}");
    }
    for good in [
        RecordHeader { durable: 8192, ..HEADER },
        RecordHeader { lsn: u64::MAX - 207, durable: 0, ..HEADER },
        RecordHeader { kind: RecordKind(0xEF), ..HEADER },
        own_record(RecordKind::WATERMARK, 8, 8, 1, 2),
        own_record(RecordKind::CLOSE, 8, 0, 1, 2),
        own_record(RecordKind::ROTATE, 8, 0, 1, 2),
    ] {
        assert_eq!(RecordHeader::decode(&good.encode(&key), &key), Some(good));
    }
}

#[test]
fn a_kind_is_the_number_that_it_was_made_of() {
    assert_eq!((RecordKind::user::<0>().get(), RecordKind::user::<0xEF>().get()), (0, 0xEF));
}

#[test]
fn a_record_is_filled_again_without_a_trace_of_the_last() {
    let mut record = EncodedRecord::new();
    record.extend_from_slice(b"0123456789");
    record.finish();
    assert_eq!(record.payload(), b"0123456789");
    assert_eq!(record.size(), 64);
    record.push(b'a');
    assert_eq!(record.payload(), b"0123456789a");
    record.finish();
    record.payload_mut()[0] = b'x';
    assert_eq!(record.payload(), b"x123456789a");
    record.begin(RecordKind(1));
    assert_eq!(record.payload(), b"");
    record.finish();
    assert_eq!(record.size(), HEADER_SIZE);
    let key = HeaderKey::new(&[9; 16]);
    let place = Placement { lsn: Lsn::new(8), durable: Lsn::ZERO, salt: 1, tag: 2, key: &key };
    let bytes = record.place(&place).to_vec();
    let header = RecordHeader::decode(bytes.first_chunk().unwrap(), &key).unwrap();
    assert_eq!((header.payload_len, header.kind, header.tag), (0, RecordKind(1), 2));
}

#[test]
fn what_is_held_stays_and_the_rest_is_taken_back() {
    let mut record = EncodedRecord::new();
    let mut plain = EncodedRecord::new();
    for held in [0, 1, 7, 8, 300] {
        record.begin(RecordKind(1));
        record.extend_from_slice(&vec![3; held]);
        record.hold();
        for tail in [0, 5, 64, 1000] {
            record.rewind();
            record.extend_from_slice(&vec![4; tail]);
            record.finish();
            plain.begin(RecordKind(1));
            plain.extend_from_slice(&vec![3; held]);
            plain.extend_from_slice(&vec![4; tail]);
            plain.finish();
            assert_eq!(record.payload(), plain.payload());
            assert_eq!(
                (record.payload_crc, record.size()),
                (plain.payload_crc, plain.size()),
                "{held} {tail}"
            );
        }
    }
    record.payload_mut()[0] = 9;
    record.finish();
    assert_eq!(record.payload_crc, payload_checksum(&record.bytes[HEADER_BYTES..]));
}
