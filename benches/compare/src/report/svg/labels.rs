//! Labels that want to be at the same height.

/// Moves the places as little apart as it takes for any two to be `gap` from each other, within `low` and `high` as long as
/// there is room; in the order of what they wanted.
pub(super) fn spread_apart(wanted: &[f64], gap: f64, (low, high): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    // Clusters of labels that touch: each stands around the mean of what its labels want.
    let mut clusters: Vec<Cluster> = Vec::new();
    for label in order {
        let mut cluster = Cluster { labels: vec![label], sum: wanted[label] };
        while let Some(before) =
            clusters.pop_if(|before| before.end(gap, low, high) + gap > cluster.start(gap, low, high))
        {
            let sum = before.sum + cluster.sum;
            cluster = Cluster { labels: [before.labels, cluster.labels].concat(), sum };
        }
        clusters.push(cluster);
    }
    let mut places = wanted.to_vec();
    for cluster in clusters {
        let start = cluster.start(gap, low, high);
        for (number, label) in cluster.labels.iter().enumerate() {
            places[*label] = start + number as f64 * gap;
        }
    }
    places
}

struct Cluster {
    labels: Vec<usize>,
    /// Of the places that they want.
    sum: f64,
}

impl Cluster {
    fn start(&self, gap: f64, low: f64, high: f64) -> f64 {
        let length = self.length(gap);
        let middle = self.sum / self.labels.len() as f64;
        (middle - length / 2.0).min(high - length).max(low)
    }

    fn end(&self, gap: f64, low: f64, high: f64) -> f64 {
        self.start(gap, low, high) + self.length(gap)
    }

    fn length(&self, gap: f64) -> f64 {
        (self.labels.len() - 1) as f64 * gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_do_not_touch_stay() {
        assert_eq!(spread_apart(&[50.0, 10.0, 90.0], 14.0, (0.0, 100.0)), [50.0, 10.0, 90.0]);
        assert!(spread_apart(&[], 14.0, (0.0, 100.0)).is_empty());
    }

    #[test]
    fn those_that_touch_stand_around_their_mean() {
        assert_eq!(spread_apart(&[50.0, 50.0], 14.0, (0.0, 100.0)), [43.0, 57.0]);
    }

    #[test]
    fn all_are_apart_and_within() {
        let places = spread_apart(&[0.0, 1.0, 99.0, 100.0, 98.0, 40.0, 47.0], 14.0, (0.0, 100.0));
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= 14.0 - 1e-9), "{places:?}");
        assert!(sorted[0] >= 0.0 && sorted[6] <= 100.0, "{places:?}");
    }
}
