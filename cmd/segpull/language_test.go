package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cheggaaa/pb/v3"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/cache"
	"github.com/segpull/segpull/internal/lang"
)

// inChinese sets the language for one test.
func inChinese(t *testing.T) {
	t.Helper()
	language = lang.Chinese
	t.Cleanup(func() { language = lang.English })
}

func TestChinesePlainLines(t *testing.T) {
	inChinese(t)
	var out bytes.Buffer
	v := &plain{notices: notices{out: &out}, last: map[string]plainLine{}}
	for _, e := range sampleEvents() {
		v.show(e.at, e.event)
	}
	v.show(testStart, segpull.Warning{Message: "blob x in the cache was damaged, and segpull fetches it again: check the disk"})
	v.show(testStart, segpull.Stalled{Reference: "a:1", Silent: segpull.Duration{Duration: 12 * time.Second}, Reasons: []string{"x: no answer for 10s", "y: connection refused"}})
	v.show(testStart, segpull.Failed{Reference: "a:1", Message: "a:1: not found on x, y"})
	want := `正在解析 ubuntu:22.04：等待 aliyun, docker.io ...
ubuntu:22.04 是 sha256:000000000000（由 docker.io 解析）：linux/amd64，40.0 MiB
ubuntu:22.04：75%，共 40.0 MiB，9.1 MiB/s，还需 2s
正在传送 ubuntu:22.04 到 docker
ubuntu:22.04 到 docker：75%，共 40.0 MiB
segpull: 警告: mirror daocloud gave up; remove it
segpull: aliyun: connection reset; trying again
ubuntu:22.04：39.0 MiB，用时 4.3s（9.1 MiB/s），来自 aliyun 67%, docker.io 33%；1.0 MiB 本来就有；docker 中的名称是 docker.io/library/ubuntu:22.04
segpull: 警告: 缓存中的 blob x 已损坏，segpull 正在重新下载：请检查磁盘
segpull: a:1：已有 12s 没有收到数据：x: 已有 10s 没有应答; y: 连接被拒绝
segpull: a:1: 在 x, y 上未找到
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// Chinese bars have their columns under each other, and never wrap.
func TestChineseBars(t *testing.T) {
	inChinese(t)
	term, b := newTestBars(80, 24)
	b.show(time.Time{}, testProgress())
	b.show(time.Time{}, testSending(10*mib))
	wantScreen(t, term, `
sha256:222222222222 [===>            ]  24% / 28.5 MiB
sha256:333333333333 [===============>] 100% / 10.0 MiB 校验
ubuntu:22.04        [=======>        ]  45% / 40.0 MiB   9.1 MiB/s  还需 2s
..u:22.04 到 docker [===>            ]  25% / 40.0 MiB   3.0 MiB/s
来源：aliyun 6.1 MiB/s, docker.io 3.0 MiB/s, daocloud 冷却
`)
	p := testProgress()
	p.Rate, p.Remaining.Duration = 999*mib/10, 59*time.Minute+59*time.Second
	wantLinesFit(t, p)
}

// The columns of Chinese tables are under each other.
func TestChineseTables(t *testing.T) {
	inChinese(t)
	list := listText(cache.Listing{Size: 3 * mib, Images: []cache.Image{
		{Registry: "docker.io", Repository: "library/alpine", Tag: "3", Digest: "sha256:0123456789abcdef", Size: mib, Complete: true, LastUsed: testStart},
		{Registry: "docker.io", Repository: "library/b", Tag: "1", Digest: "sha256:0123456789abcdef", Size: 2 * mib},
	}}, "/cache", testStart.Add(time.Hour))
	inspection := inspectionText(segpull.Inspection{
		Reference: "alpine:3", Platforms: []segpull.PlatformImage{{Platform: "linux/amd64", Digest: testDigest("1")}},
		Layers: []segpull.LayerInspection{{Digest: testDigest("2"), Size: mib, ToFetch: mib, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip"}},
	})
	want := `镜像      摘要                     大小  最近使用
alpine:3  sha256:0123456789ab   1.0 MiB  1h00m 前
b:1       sha256:0123456789ab   2.0 MiB  不完整
2 个镜像，0 个 blob，3.0 MiB，位于 /cache
镜像     alpine:3
摘要     
类型     
平台     
清单     
镜像 ID  

平台         清单
linux/amd64  sha256:111111111111

层                       大小    待下载  类型
sha256:222222222222   1.0 MiB   1.0 MiB  tar+gzip
1 层 连同配置：0 B，待下载 0 B
`
	if got := list + inspection; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// JSON is for programs.
func TestJSONIsEnglish(t *testing.T) {
	inChinese(t)
	var out bytes.Buffer
	v := jsonView{&out}
	for _, e := range sampleEvents() {
		v.show(e.at, e.event)
	}
	v.show(testStart, segpull.Warning{Message: "mirror x: no such mirror; use another mirror"})
	if regexp.MustCompile(`\p{Han}`).Match(out.Bytes()) {
		t.Errorf("the events have Chinese:\n%s", out.String())
	}
}

// Both helps have the same flags in the same order, the same figures and paths, and the
// same examples, in 80 columns.
func TestBothHelpsSayTheSame(t *testing.T) {
	for name, english := range map[string]string{"pull": help, "cache": cacheHelp, "completion": completionHelp, "inspect": inspectHelp, "mirrors": mirrorsHelp, "serve": serveHelp} {
		chinese := chineseHelp[english]
		if !regexp.MustCompile(`\p{Han}`).MatchString(chinese) {
			t.Errorf("the help of %s has no Chinese", name)
			continue
		}
		a, b := sections(english), sections(chinese)
		if i := slices.IndexFunc(a, func(s string) bool { return !slices.Contains(b, s) }); i >= 0 {
			t.Errorf("the Chinese help of %s lacks %s", name, a[i])
		}
		if len(a) < 5 || !slices.Equal(a, b) {
			t.Errorf("the helps of %s differ:\n%s\n%s", name, strings.Join(a, "\n"), strings.Join(b, "\n"))
		}
		for line := range strings.Lines(chinese) {
			if n := pb.CellCount(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

// sections returns for each flag, usage and example what both languages share:
// its name, and then the sorted figures and variables of its description.
func sections(text string) []string {
	var all []string
	var figures []string
	flags := false
	end := func() {
		if len(all) > 0 {
			slices.Sort(figures)
			all[len(all)-1] = strings.TrimSpace(all[len(all)-1] + " " + strings.Join(slices.Compact(figures), " "))
		}
		figures = nil
	}
	for line := range strings.Lines(text) {
		flag := regexp.MustCompile(`^ {2,6}(-\w, )?--[\w-]+\S*( [A-Z]\S*| en\|zh)?`).FindString(line)
		switch {
		case flag != "":
			end()
			all, flags = append(all, flag), true
			line = line[len(flag):]
		case strings.HasPrefix(line, "  segpull"):
			end()
			line, _, _ = strings.Cut(strings.Replace(line, "[选项]", "[flags]", 1), "[flags]")
			if !flags { // what it does begins in column 31 or later
				line = line[:min(len(line), 30)]
			}
			all = append(all, strings.TrimSpace(line))
			continue
		case len(all) == 0, !strings.HasPrefix(line, "     "):
			end()
			continue
		}
		figures = append(figures, regexp.MustCompile(`\$?[a-zA-Z_./:@-]*\d[\w./:@-]*|\$[\w/.]+`).FindAllString(line, -1)...)
	}
	end()
	return all
}

func TestTheFlagDecidesTheLanguage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--lang zh a", "zh"},
		{"a --lang=zh", "zh"},
		{"--lang en --lang zh", "zh"},
		{"-- --lang zh", ""},
		{"a --lang", ""},
		{"a", ""},
	} {
		if got := langFlag(strings.Fields(c.args)); got != c.want {
			t.Errorf("%s: %q, want %q", c.args, got, c.want)
		}
	}
}

// The verdicts of mirrors test wrap in 80 columns between Chinese characters, too.
func TestChineseMirrors(t *testing.T) {
	inChinese(t)
	text := testText([]segpull.MirrorCheck{
		checked("https://a.example", func(m *segpull.MirrorCheck) {
			m.Limits = &segpull.RequestLimits{Limit: 100, Remaining: 76, Period: 21600}
		}),
		checked("https://b.example", func(m *segpull.MirrorCheck) {
			m.Usable, m.TLS, m.Agrees = false, "unverified", false
			m.Error = "b.example: manifest https://b.example/v2/: 401 Unauthorized (the image does not exist there, or needs a login: run docker login b.example)"
		}),
	}) + mirrorsText([]segpull.MirrorInfo{{Name: "a", URL: "https://a.example", From: "flag"}})
	want := `源                        TLS        登录     分段      延迟       速率 标签
a.example                 已校验     无       支持      42ms  3.0 MiB/s 一致
  良好; 100 个请求中还剩 76 个（每 6h00m）
b.example                 未校验     无       支持      42ms  3.0 MiB/s 不一致
  不可用：b.example: 清单 https://b.example/v2/：401 Unauthorized (那里没有该镜
  像，或需要登录：请运行 docker login b.example); 它把标签解析为另一个镜像
  sha256:0123456789ab
 1  https://a.example (a)
    由 --mirror 指定；不解析标签
`
	if text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}
