package lang

import (
	"cmp"
	"strings"
)

// Language is a language that segpull speaks.
type Language string

const (
	English Language = "en"
	Chinese Language = "zh"
)

// Known reports whether segpull speaks the language.
func (l Language) Known() bool { return l == English || l == Chinese }

// Of returns the language for a locale such as zh_CN.UTF-8 (locale(7)) or a tag such as
// zh-Hans-CN: Chinese for every zh whose charset, if it names one, is UTF-8, because
// segpull writes no other. Any other locale is English.
func Of(locale string) Language {
	name, charset, _ := strings.Cut(strings.ToLower(locale), ".")
	charset, _, _ = strings.Cut(charset, "@")
	if strings.HasPrefix(name, "zh") && (charset == "" || charset == "utf-8" || charset == "utf8") {
		return Chinese
	}
	return English
}

// Locale returns the locale of messages that the environment has (locale(7)): that of
// LC_ALL, LC_MESSAGES or LANG, the first that is not empty. If all are, it is the
// language that the user has chosen in Windows, and "" elsewhere.
func Locale(getenv func(string) string) string {
	return cmp.Or(getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG"), systemLocale())
}

// Format returns the format of the command's own words in the language. For Chinese it
// has the same placeholders as the English one, perhaps in another order. A format
// without a translation is returned as it is.
func (l Language) Format(english string) string {
	if l == Chinese {
		return cmp.Or(words()[english], english)
	}
	return english
}
