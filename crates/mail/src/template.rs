/// What a letter says, but for some values: `{{name}}` stands for each. They are put in as they are in the subject's
/// and the text's place, and escaped in the HTML.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// One line.
    pub subject: &'static str,
    /// For those who read text.
    pub text: &'static str,
    /// The same for those who read HTML.
    pub html: &'static str,
}

/// A letter that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same in HTML.
    pub html: String,
}

impl Template {
    /// Fills the values in, by their names. A name without a value stays as it stands: a test of the template finds it.
    pub fn fill(&self, values: &[(&str, &str)]) -> Letter {
        Letter {
            subject: self.subject.to_owned(),
            text: fill(self.text, values, str::to_owned),
            html: fill(self.html, values, escape),
        }
    }
}

/// What is put in is not looked at again: a value cannot ask for another.
fn fill(template: &str, values: &[(&str, &str)], written: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let named = after.split_once("}}").and_then(|(name, end)| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, end))
        });
        if let Some((value, end)) = named {
            filled.push_str(&written(value));
            rest = end;
        } else {
            filled.push_str("{{");
            rest = after;
        }
    }
    filled.push_str(rest);
    filled
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_in_html_alone_and_not_looked_at_again() {
        let template = Template {
            subject: "Hello",
            text: "To {{name}}: {{link}}",
            html: "<a href=\"{{link}}\">{{name}}</a>",
        };
        let letter = template.fill(&[("name", "<b>{{link}}</b>"), ("link", "https://x/?a=1&b=\"2'")]);
        assert_eq!(letter.text, "To <b>{{link}}</b>: https://x/?a=1&b=\"2'");
        assert_eq!(
            letter.html,
            "<a href=\"https://x/?a=1&amp;b=&quot;2&#39;\">&lt;b&gt;{{link}}&lt;/b&gt;</a>"
        );
    }

    #[test]
    fn what_has_no_value_stays_as_it_stands() {
        let template = Template { subject: "", text: "{{a}} {{b}} {{", html: "" };
        assert_eq!(template.fill(&[("b", "2")]).text, "{{a}} 2 {{");
    }
}
