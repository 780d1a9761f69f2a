package verify_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/segpull/segpull/verify"
)

// Blob compares the bytes of a Content with a digest. present, a blob that is
// there already, is in frontier_bench_test.go.
func ExampleFrontier_Blob() {
	const digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	var f verify.Frontier
	fmt.Println(f.Blob(context.Background(), present("hello"), digest, 5), f.Offset())

	err := f.Blob(context.Background(), present("hallo"), digest, 5)
	var mismatch *verify.MismatchError
	fmt.Println(errors.As(err, &mismatch), mismatch.Want == digest)
	// Output:
	// <nil> 5
	// true true
}
