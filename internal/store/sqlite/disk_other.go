//go:build !unix

package sqlite

// free can't be told here.
func free(string) int64 { return -1 }
