//! The page that `/metrics` answers, in one of two forms.

use std::{
    fmt::{self, Write as _},
    sync::atomic::Ordering::Relaxed,
};

use http::{HeaderMap, header::ACCEPT};
use metrics::Key;

use super::{
    buckets::{Exemplar, Reading},
    recorder::{Families, Family, Kind, Series},
};

/// How metrics are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' own text, version 0.0.4.
    #[default]
    Text,
    /// [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/) 1.0, which has exemplars.
    OpenMetrics,
}

impl Form {
    /// The form that a request wants: OpenMetrics where its `Accept` prefers it, else text, also where it takes neither.
    #[must_use]
    pub fn wanted(request: &HeaderMap) -> Self {
        let quality = |form: Self| {
            let sent = request.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let ranges = sent.flat_map(|list| list.split(',')).filter_map(|range| form.fits(range));
            // The most exact of the ranges that fit it says how much it is wanted.
            ranges
                .max_by_key(|(exact, _)| *exact)
                .map_or(0.0, |(exact, quality)| if exact == 0 { 0.0 } else { quality })
        };
        let (open, text) = (quality(Self::OpenMetrics), quality(Self::Text));
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// What the answer's `Content-Type` says.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// If this form is in a range of types: how exactly that names it, 0 where it names no type at all, and its quality.
    fn fits(self, range: &str) -> Option<(u8, f32)> {
        let mut parts = range.split(';').map(str::trim);
        let (kind, own, version) = match self {
            Self::Text => ("text/*", "text/plain", "0.0.4"),
            Self::OpenMetrics => ("application/*", "application/openmetrics-text", "1.0.0"),
        };
        let mut exact = match parts.next()?.to_ascii_lowercase().as_str() {
            "*/*" => 0,
            named if named == kind => 1,
            named if named == own => 2,
            _ => return None,
        };
        let mut quality = 1.0;
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
                "version" if value == version => exact += 1,
                "version" => return None,
                _ => {}
            }
        }
        Some((exact, quality))
    }
}

/// Everything, in this form.
pub(super) fn render(families: &Families, form: Form) -> String {
    let mut page = String::with_capacity(128 * 1024);
    families.each(|name, family| {
        if !family.series.is_empty() {
            // A String takes all that is written.
            _ = write_family(&mut page, name, family, form);
        }
    });
    if form == Form::OpenMetrics {
        page.push_str("# EOF\n");
    }
    page
}

fn write_family(page: &mut String, name: &str, family: &Family, form: Form) -> fmt::Result {
    let kind = family.kind();
    // In OpenMetrics a counter's name is that of its family, and its series end in `_total`.
    let of_family = match (form, kind) {
        (Form::OpenMetrics, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    let series =
        if form == Form::OpenMetrics && kind == Kind::Counter { format!("{of_family}_total") } else { name.to_owned() };
    if let Some((_, text)) = &family.described {
        write!(page, "# HELP {of_family} ")?;
        escape(page, text, form == Form::OpenMetrics);
        page.push('\n');
    }
    writeln!(page, "# TYPE {of_family} {}", kind.name())?;
    if form == Form::OpenMetrics && of_family.ends_with("_seconds") {
        writeln!(page, "# UNIT {of_family} seconds")?;
    }
    for (key, value) in &family.series {
        match value {
            Series::Whole(value) => write_line(page, &series, key, None, &value.load(Relaxed))?,
            Series::Number(bits) => write_line(page, &series, key, None, &Number(f64::from_bits(bits.load(Relaxed))))?,
            Series::Buckets(buckets) => write_histogram(page, name, key, &buckets.read(), form)?,
        }
        page.push('\n');
    }
    Ok(())
}

fn write_histogram(page: &mut String, name: &str, key: &Key, reading: &Reading, form: Form) -> fmt::Result {
    let bucket = format!("{name}_bucket");
    let mut all = 0;
    for (bound, below, exemplar) in &reading.buckets {
        all = *below;
        write_line(page, &bucket, key, Some(*bound), below)?;
        if form == Form::OpenMetrics
            && let Some(Exemplar { trace, value, at }) = exemplar
        {
            write!(page, " # {{trace_id=\"{trace}\"}} {value:?} {at:.3}")?;
        }
        page.push('\n');
    }
    write_line(page, &format!("{name}_sum"), key, None, &Number(reading.sum))?;
    page.push('\n');
    write_line(page, &format!("{name}_count"), key, None, &all)
}

/// A series and its value, without an end.
fn write_line(page: &mut String, name: &str, key: &Key, bound: Option<f64>, value: &dyn fmt::Display) -> fmt::Result {
    page.push_str(name);
    let mut before = '{';
    for label in key.labels() {
        write!(page, "{before}{}=\"", label.key())?;
        escape(page, label.value(), true);
        page.push('"');
        before = ',';
    }
    if let Some(bound) = bound {
        // With a point, as OpenMetrics wants it: in both forms, so that a series is the same in either.
        match bound {
            f64::INFINITY => write!(page, "{before}le=\"+Inf\"")?,
            bound => write!(page, "{before}le=\"{bound:?}\"")?,
        }
        before = ',';
    }
    page.push_str(if before == '{' { " " } else { "} " });
    write!(page, "{value}")
}

/// A value: a whole number has no point, as people read it.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value if value.is_nan() => f.write_str("NaN"),
            value => write!(f, "{value}"),
        }
    }
}

fn escape(page: &mut String, text: &str, quotes: bool) {
    for letter in text.chars() {
        match letter {
            '\\' => page.push_str("\\\\"),
            '\n' => page.push_str("\\n"),
            '"' if quotes => page.push_str("\\\""),
            letter => page.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderValue;
    use metrics::{Level, Metadata, Recorder, SharedString, with_local_recorder};

    use super::*;
    use crate::trace::{Context, TRACEPARENT};

    fn wanted(accept: &[&str]) -> Form {
        let values = accept.iter().map(|value| (ACCEPT, HeaderValue::from_str(value).unwrap()));
        Form::wanted(&values.collect())
    }

    #[test]
    fn what_names_no_type_or_is_nonsense_gets_text() {
        let text = [
            "",
            "*/*",
            "text/plain",
            "text/html, */*;q=0.8",
            "application/json",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=often",
            "application/openmetrics-text;q=0.1, text/plain",
            "application/*;q=0.9, application/openmetrics-text;q=0.1, text/*;q=0.5",
            ";;;,,,=,q=1",
        ];
        text.iter().for_each(|accept| assert_eq!(wanted(&[accept]), Form::Text, "{accept}"));
        assert_eq!(wanted(&[]), Form::Text);
    }

    #[test]
    fn what_prefers_openmetrics_gets_it() {
        let open = [
            // Prometheus 2.42, and 3.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "APPLICATION/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
            "application/openmetrics-text",
            "application/*, text/plain;q=0.5",
            "application/openmetrics-text, text/plain",
        ];
        open.iter().for_each(|accept| assert_eq!(wanted(&[accept]), Form::OpenMetrics, "{accept}"));
        assert_eq!(wanted(&["text/plain;q=0.5", "application/openmetrics-text"]), Form::OpenMetrics);
    }

    fn families() -> Arc<Families> {
        let families = Arc::new(Families::default());
        with_local_recorder(&*families, || {
            metrics::describe_counter!("tried_seconds_total", "How long it was \"tried\"\\\nin vain");
            metrics::gauge!("tried_seconds_total").set(0.5);
            metrics::gauge!("open_count").set(7.0);
            metrics::describe_gauge!("level", "How high it is");
            metrics::gauge!("level", "where" => "a\"b\\c\nd").set(f64::NEG_INFINITY);
            metrics::describe_histogram!("took_seconds", "How long it took");
            let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap();
            let trace = Context::of(&HeaderMap::from_iter([(TRACEPARENT, sent)]));
            trace.sync_scope(|| metrics::histogram!("took_seconds", "what" => "it").record(0.25));
        });
        families
    }

    #[test]
    fn text_has_every_family_with_its_type_and_help() {
        let page = render(&families(), Form::Text);
        for line in [
            "# HELP tried_seconds_total How long it was \"tried\"\\\\\\nin vain\n# TYPE tried_seconds_total counter\ntried_seconds_total 0.5\n",
            "open_count 7\n",
            "# TYPE level gauge\nlevel{where=\"a\\\"b\\\\c\\nd\"} -Inf\n",
            "took_seconds_bucket{what=\"it\",le=\"0.1\"} 0\ntook_seconds_bucket{what=\"it\",le=\"0.25\"} 1\n",
            "took_seconds_bucket{what=\"it\",le=\"1.0\"} 1\n",
            "took_seconds_bucket{what=\"it\",le=\"+Inf\"} 1\ntook_seconds_sum{what=\"it\"} 0.25\ntook_seconds_count{what=\"it\"} 1\n",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        assert!(!page.contains("trace_id") && !page.contains("EOF") && !page.contains("UNIT"), "{page}");
    }

    #[test]
    fn openmetrics_has_units_exemplars_and_an_end() {
        let page = render(&families(), Form::OpenMetrics);
        for line in [
            "# HELP tried_seconds How long it was \\\"tried\\\"\\\\\\nin vain\n# TYPE tried_seconds counter\n# UNIT tried_seconds seconds\ntried_seconds_total 0.5\n",
            "# TYPE took_seconds histogram\n# UNIT took_seconds seconds\n",
            "took_seconds_bucket{what=\"it\",le=\"0.25\"} 1 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.25 ",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        assert!(page.ends_with("# EOF\n") && page.matches("EOF").count() == 1, "{page}");
        let (_, labels) = page.split_once(" # {").unwrap();
        let (labels, _) = labels.split_once('}').unwrap();
        assert!(labels.len() <= 128, "OpenMetrics allows no more: {labels}");
    }

    #[test]
    fn a_name_has_few_series_whatever_it_is_told() {
        let families = Families::default();
        let metadata = Metadata::new("", Level::INFO, None);
        for path in 0..2 * super::super::recorder::MOST_SERIES {
            let key =
                Key::from_parts("hits_total", vec![metrics::Label::new("path", SharedString::from(path.to_string()))]);
            families.register_counter(&key, &metadata).increment(1);
        }
        let page = render(&families, Form::Text);
        let series = page.lines().filter(|line| line.starts_with("hits_total{")).count();
        assert_eq!(series, super::super::recorder::MOST_SERIES + 1);
        assert!(page.contains("hits_total{otel_metric_overflow=\"true\"} 500\n"), "{page}");
    }

    #[test]
    fn a_name_that_is_told_as_two_kinds_keeps_the_first() {
        let families = Families::default();
        with_local_recorder(&families, || {
            metrics::counter!("twice_total").increment(1);
            metrics::gauge!("twice_total").set(7.0);
            metrics::histogram!("twice_total").record(7.0);
        });
        assert_eq!(render(&families, Form::Text), "# TYPE twice_total counter\ntwice_total 1\n");
    }
}
