//! A write that was taken back conflicts with nobody; one that was there before the savepoint does; a read stays a read.

mod of_a_row {
    use crate::case;

    case!("r2(1)=10 m1 w1(1=11) t1 w1(2=21) w2(1=12) c2 c1", snapshot: "1=12 2=21", serializable: "1=12 2=21");
}

mod of_everything {
    use crate::case;

    case!("m1 w1(1=11) d1(2) t1 l1 r1(1)=10 r1(2)=20 w2(1=12) c2 c1", snapshot: "1=12 2=20", serializable: "1=12 2=20");
}

mod but_the_write_before_it_is {
    use crate::case;

    case!("w1(1=11) m1 w1(1=13) r1(1)=13 t1 r1(1)=11 w2(1=12) c2 c1!", snapshot: "1=12 2=20", serializable: "1=12 2=20");
}

mod but_the_read_after_it_is {
    use crate::case;

    case!("m1 r1(1)=10 w1(1=11) t1 w1(2=21) w2(1=12) c2 c1~", snapshot: "1=12 2=21", serializable: "1=12 2=20");
}

mod but_what_a_released_one_kept_is {
    use crate::case;

    case!("m1 w1(1=11) m1 d1(2) l1 t1 p1(*)={1:10,2:20} w1(2=21) l1 c1 r2(2)=20 w2(2=22) c2!", snapshot: "1=10 2=21", serializable: "1=10 2=21");
}
