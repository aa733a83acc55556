//! Colours and type. `s3` and `f3` draw and fill in the colour of engine 3; engine 0 is ours.
//!
//! The colours of the others are dull, differ in lightness as well as in hue, and come with markers of different shapes, so
//! that they can be told apart by those who see fewer colours.

/// The style sheet of every plot; a page with several needs it once.
pub(in super::super) const STYLE: &str = "\
.chart text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue','DejaVu Sans',sans-serif;font-size:12px;fill:#3d444d}
.chart .title{font-size:14.5px;font-weight:650;fill:#14181d}
.chart .panel{font-size:12.5px;font-weight:600;fill:#14181d}
.chart .note,.chart .tick{font-size:11px;fill:#68717c}
.chart .ours{font-weight:700}
.chart .paper{fill:#fff}
.chart .grid{stroke:#e9ebee;stroke-width:1}
.chart .axis{stroke:#8a929c;stroke-width:1}
.chart .even{stroke:#68717c;stroke-width:1;stroke-dasharray:4 3}
.chart .line{fill:none;stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}
.chart .line.ours{stroke-width:3}
.chart .struck{stroke-dasharray:2 4}
.chart .leader{stroke-width:.75;opacity:.55}
.chart .stem{stroke-width:2.5;opacity:.75}
.chart .whisker{stroke-width:1;opacity:.7}
.chart .band{opacity:.16}
.chart .hollow{fill:#fff;stroke-width:1.5}
.chart .bar{opacity:.62}
.chart .bar.ours{opacity:1}
.chart .bar.struck{fill:none;stroke-width:1}
.s0{stroke:#d9480f}.f0{fill:#d9480f}.chart text.f0{fill:#c23f0c}
.s1{stroke:#4c6fa5}.f1,.chart text.f1{fill:#4c6fa5}
.s2{stroke:#2f8f83}.f2,.chart text.f2{fill:#2a7f75}
.s3{stroke:#9a8a3c}.f3,.chart text.f3{fill:#837431}
.s4{stroke:#8c5f93}.f4,.chart text.f4{fill:#8c5f93}
.s5{stroke:#6d7782}.f5,.chart text.f5{fill:#636c76}
.s6{stroke:#5aa3c4}.f6,.chart text.f6{fill:#3580a3}
.s7{stroke:#6f9a4d}.f7,.chart text.f7{fill:#577c3a}
.s8{stroke:#a8677c}.f8,.chart text.f8{fill:#a05a71}
.s9{stroke:#2f4858}.f9,.chart text.f9{fill:#2f4858}
.s10{stroke:#a58468}.f10,.chart text.f10{fill:#8a6a4f}
@media (prefers-color-scheme:dark){
.chart text{fill:#c2c9d1}
.chart .title,.chart .panel{fill:#f0f3f6}
.chart .note,.chart .tick{fill:#96a0ab}
.chart .paper{fill:#15191e}
.chart .grid{stroke:#272d35}
.chart .axis{stroke:#6c7682}
.chart .even{stroke:#96a0ab}
.chart .hollow{fill:#15191e}
.chart .band{opacity:.24}
.s0{stroke:#ff7a3d}.f0,.chart text.f0{fill:#ff7a3d}
.s1{stroke:#7f9fd1}.f1,.chart text.f1{fill:#8caadb}
.s2{stroke:#4fb3a6}.f2,.chart text.f2{fill:#4fb3a6}
.s3{stroke:#bfae5a}.f3,.chart text.f3{fill:#bfae5a}
.s4{stroke:#b48abb}.f4,.chart text.f4{fill:#bd95c4}
.s5{stroke:#96a0ab}.f5,.chart text.f5{fill:#a3adb8}
.s6{stroke:#6fb7d8}.f6,.chart text.f6{fill:#6fb7d8}
.s7{stroke:#8fba6c}.f7,.chart text.f7{fill:#8fba6c}
.s8{stroke:#cc8ba0}.f8,.chart text.f8{fill:#cc8ba0}
.s9{stroke:#8fb0c4}.f9,.chart text.f9{fill:#9bbbcf}
.s10{stroke:#c9a688}.f10,.chart text.f10{fill:#c9a688}
.chart .hollow{fill:#15191e}
.chart .bar.struck{fill:none}
}
";

/// How many engines have a colour of their own.
const COLOURS: usize = 11;

/// The number in `s3` and `f3`. Only our engine has the first colour.
pub(super) fn colour(engine: usize) -> usize {
    if engine == 0 { 0 } else { (engine - 1) % (COLOURS - 1) + 1 }
}
