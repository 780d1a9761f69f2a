package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTheLocaleDecides(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want Language
	}{
		{map[string]string{"LANG": "zh_CN.UTF-8"}, Chinese},
		{map[string]string{"LANG": "zh_TW.utf8"}, Chinese},
		{map[string]string{"LANG": "zh"}, Chinese},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, Chinese},
		{map[string]string{"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "de_DE.UTF-8"}, English},
		{map[string]string{"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8", "LC_ALL": "C"}, English},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "zh_SG.UTF-8@pinyin"}, Chinese},
		{map[string]string{"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, Chinese},
		{map[string]string{"LANG": "zh_CN.GB18030"}, English},
		{map[string]string{"LANG": "POSIX"}, English},
		{map[string]string{"LANG": "C.UTF-8", "LC_CTYPE": "zh_CN.UTF-8"}, English},
	} {
		if got := Of(Locale(func(name string) string { return c.env[name] })); got != c.want {
			t.Errorf("%v: %s, want %s", c.env, got, c.want)
		}
	}
	if Of("zh-Hans-CN") != Chinese || Of("") != English {
		t.Error("a tag of Windows, or none")
	}
}

// Each pair is a text as the library makes it, and its Chinese.
var texts = [][2]string{
	{"", ""},
	{"no such mirror", "没有这个镜像源"},
	{"ubuntu:22.04", "ubuntu:22.04"},
	{"a message of a server: nothing that segpull knows", "a message of a server: nothing that segpull knows"},
	// One that wraps others.
	{
		"ubuntu:22.04: resolve docker.io/library/ubuntu:22.04: daocloud: manifest https://m.daocloud.io/v2/: dial tcp 1.2.3.4:443: connect: connection refused; docker.io: no answer within 5s; check the network, or give other mirrors with --mirror",
		"ubuntu:22.04: 解析 docker.io/library/ubuntu:22.04：daocloud：清单 https://m.daocloud.io/v2/：dial tcp 1.2.3.4:443: connect: 连接被拒绝; docker.io: 在 5s 内没有应答；请检查网络，或用 --mirror 指定别的镜像源",
	},
	{
		"directory /data is not writable: mkdir /data/.a: permission denied; give another with --output",
		"目录 /data 不可写：mkdir /data/.a: 权限不足；请用 --output 换一个",
	},
	// Advice in parentheses.
	{
		"x: blob https://x/v2: 401 Unauthorized (the image does not exist there, or needs a login: run docker login x)",
		"x：blob https://x/v2：401 Unauthorized (那里没有该镜像，或需要登录：请运行 docker login x)",
	},
	// Placeholders in another order, numbers, quoted text, one that comes again.
	{"answered with 10 of the 4096 bytes that it was asked for", "请求了 4096 字节，只应答了 10"},
	{"answered with some of the many bytes that it was asked for", "answered with some of the many bytes that it was asked for"},
	{`progress "no such mirror; or not" is unknown; use one of auto, bar`, `未知的 progress "no such mirror; or not"；可用的有 auto, bar`},
	{
		"no image named; run 'segpull --help'; an image that is called pull is written library/pull or pull:latest",
		"没有指定镜像；请运行 'segpull --help'；名为 pull 的镜像请写作 library/pull 或 pull:latest",
	},
	{
		"r.example refuses the login that is stored in /f; the image is public, so segpull pulls it without a login: run docker login r.example or docker logout r.example",
		"r.example 拒绝了保存在 /f 的登录凭据；该镜像是公开的，segpull 不登录即可拉取：请运行 docker login r.example 或 docker logout r.example",
	},
	// What follows a message does not come into its middle.
	{"x: no answer for 10s; y: no such platform", "x: 已有 10s 没有应答; y: 没有这个平台"},
	{
		"unknown flag: --outpt; did you mean --output?; run 'segpull --help'",
		"未知的选项：--outpt；是否想用 --output？；请运行 'segpull --help'",
	},
	// A pattern with more letters is found within what one with few would take whole.
	{
		`rate "fast": not a number of bytes; write bytes a second as 500K, 2M, 4MiB, 1.5MB, or unlimited; run 'segpull --help'`,
		`速率 "fast"：不是字节数；请写每秒字节数，如 500K、2M、4MiB、1.5MB，或 unlimited；请运行 'segpull --help'`,
	},
	// A pattern with few letters counts only around a text that is known.
	{"it serves its campus only, as of 2026-11", "它只服务校内（截至 2026-11）"},
	{"it says hello", "it says hello"},
	// The pattern with most letters wins.
	{"x: unrendered template: render it first, as with helm template", "x：未渲染的模板：请先渲染，例如用 helm template"},
}

func TestTextsAreTranslated(t *testing.T) {
	for _, c := range texts {
		if got := Chinese.Text(c[0]); got != c[1] {
			t.Errorf("%s\n got %s\nwant %s", c[0], got, c[1])
		}
		if got := English.Text(c[0]); got != c[0] {
			t.Errorf("in English, %s became %s", c[0], got)
		}
	}
}

// Each format of the catalogue is found in a text that it made, and keeps what is in
// the placeholders.
func TestEveryMessageIsFoundInItsText(t *testing.T) {
	for english, chinese := range messages() {
		text, want := english, asStrings(chinese)
		values := map[int]string{}
		for _, v := range slices.Backward(verbsOf(english)) {
			value := map[string]string{"d": "7", "f": "7.5", "q": `"Q"`}[v.letter]
			if value == "" {
				value = "X" + fmt.Sprint(v.arg) + "X"
			}
			values[v.arg] = value
			text = text[:v.start] + value + text[v.end:]
		}
		for arg, value := range values {
			want = strings.ReplaceAll(want, fmt.Sprintf("%%[%d]s", arg), value)
		}
		if got := Chinese.Text(text); got != want && newPattern(english, chinese).letters >= certain {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestFormats(t *testing.T) {
	if got := Chinese.Format("%s left"); got != "还需 %s" {
		t.Error(got)
	}
	if got := Chinese.Format("%s that nobody has translated"); got != "%s that nobody has translated" {
		t.Error(got)
	}
	if got := English.Format("%s left"); got != "%s left" {
		t.Error(got)
	}
}

// A server cannot make segpull spend its time with a translation: without the bound, the
// last of these would take hours.
func TestHostileTextsTakeLittleTime(t *testing.T) {
	everything := strings.Join(slices.Sorted(maps.Keys(messages())), "; ")
	for _, text := range []string{
		strings.Repeat("; ", mostText/2),
		strings.Repeat("it ", mostText/3),
		everything[:mostText],
		strings.Repeat("it ; ", mostText/5),
	} {
		if len(Chinese.Text(text)) < mostText/2 {
			t.Errorf("the text is gone: %.20s", text)
		}
	}
	long := strings.Repeat(" ", mostText) + ": no such mirror"
	if Chinese.Text(long) != long {
		t.Error("a text without bound was translated")
	}
}

// No text of a server makes segpull fail, or print what is no text.
func FuzzText(f *testing.F) {
	for _, c := range texts {
		f.Add(c[0])
	}
	f.Fuzz(func(t *testing.T, text string) {
		chinese := Chinese.Text(text)
		if utf8.ValidString(text) && !utf8.ValidString(chinese) {
			t.Errorf("%q became %q", text, chinese)
		}
		if text != "" && chinese == "" {
			t.Errorf("%q is gone", text)
		}
	})
}

func TestCataloguesAreRead(t *testing.T) {
	got, err := readCatalogue("# comment\n\n\"a %s\"\n\"甲 %s\"\n# more\n`b\"`\n\"乙\"\n")
	if want := map[string]string{"a %s": "甲 %s", `b"`: "乙"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, damaged := range []string{"a\n\"b\"\n", "\"a\"\n", "\"a\"\n\"b\"\n\"a\"\n\"c\"\n", "\"a\"\n\"\"\n"} {
		if got, err := readCatalogue(damaged); err == nil {
			t.Errorf("%q was read as %v", damaged, got)
		}
	}
}
