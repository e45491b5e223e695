#!/usr/bin/env bash
# Runs each fuzzer for a time, and keeps of the inputs that led it to code that
# no other had led to the shortest, in testdata/fuzz: every "make test" and every
# "make fuzz" begins with them. What makes a fuzzer fail Go keeps there itself.
#
#   CORPUS_TIME  for how long each fuzzer runs, as for go test -fuzztime
#   FUZZERS      regular expression of those to run
#   TAGS         for the go command
set -euo pipefail
cd "$(dirname "$0")/.."

most=40          # inputs of a fuzzer, with those that are there
longest=4096     # bytes of one of them

found=$(mktemp -d "${TMPDIR:-/tmp}/mocker-corpus.XXXXXX")
trap 'rm -rf "$found"' EXIT
status=0
for package in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u); do
	names=$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' "$package"/*_test.go | grep -E "${FUZZERS:-.}") || continue
	# shellcheck disable=SC2086 # flags
	go test ${TAGS:-} -c -fuzz . -o "$found/tests" "$package"
	for name in $names; do
		if ! (cd "$package" && "$found/tests" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "${CORPUS_TIME:-60s}" \
			-test.fuzzcachedir "$found/cache" -test.parallel 1 >"$found/said" 2>&1); then
			cat "$found/said"
			status=1
		fi
		kept=$package/testdata/fuzz/$name
		mkdir -p "$kept" "$found/cache/$name"
		have=$(find "$kept" -type f | wc -l)
		new=0
		while read -r size file; do
			((size <= longest && have + new < most)) || break
			if [[ ! -e $kept/${file##*/} ]]; then
				cp "$file" "$kept/"
				new=$((new + 1))
			fi
		done < <(find "$found/cache/$name" -type f -printf '%s %p\n' | sort -n)
		echo "$package $name: found $(find "$found/cache/$name" -type f | wc -l) inputs, kept $new beside $have"
		rm -rf "${found:?}/cache"
	done
done
exit $status
