package credentials

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestALoginPrintsNoSecret(t *testing.T) {
	login := Login{Username: "u", Password: "hunter2", IdentityToken: "hunter2", RegistryToken: "hunter2", From: "file"}
	marshalled, err := json.Marshal(login)
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{string(marshalled), login.String()}
	for _, verb := range strings.Fields("%v %+v %#v %s %q %d %x") {
		printed = append(printed, fmt.Sprintf(verb, login), fmt.Sprintf(verb, &login), fmt.Sprintf(verb, []Login{login}))
	}
	for _, text := range printed {
		if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("printed %s", text)
		}
	}
	if got := fmt.Sprint(login); got != `login of user "u" from file` {
		t.Errorf("printed %s", got)
	}
	if got := fmt.Sprint(Login{From: "file"}); got != "no login" {
		t.Errorf("printed %s", got)
	}
}
