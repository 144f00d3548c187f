# demo-packages.awk: Debian's package records (apt-cache dumpavail) to JSON lines.
#
#     apt-cache dumpavail | awk -v first=FILE -v second=FILE -v names=FILE -f demo-packages.awk
#
# Nine packages of ten go to `first`, the tenth to `second`, there with its homepage, as if a later
# catalogue had learnt to tell it. `names` gets the package names, for split points. With
# -v generate=N it makes N records of the same shape up instead of reading any; the same ones each
# time.

function quote(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/"/, "\\\"", text)
    gsub(/\t/, "\\t", text)
    gsub(/[\001-\037]/, " ", text)
    return "\"" text "\""
}

function list(text,    parts, n, i, out) {
    n = split(text, parts, /, */)
    for (i = 1; i <= n; i++)
        out = out (i > 1 ? "," : "") quote(parts[i])
    return "[" out "]"
}

function number(text) {
    return text ~ /^[0-9]+$/ ? text : "null"
}

function text_or_null(text) {
    return text == "" ? "null" : quote(text)
}

function finish(    line, file) {
    if (package == "" || version == "") return
    line = "{\"package\":" quote(package) ",\"version\":" quote(version) \
        ",\"section\":" text_or_null(section) ",\"size\":" number(size) \
        ",\"installed_size\":" number(installed) ",\"maintainer\":" text_or_null(maintainer) \
        ",\"depends\":" (depends == "" ? "null" : list(depends)) \
        ",\"description\":" text_or_null(description)
    count++
    if (count % 10 == 0)
        print line ",\"homepage\":" text_or_null(homepage) "}" > second
    else
        print line "}" > first
    print package > names
    clear()
}

function clear() {
    package = version = section = size = installed = maintainer = depends = description = ""
    homepage = ""
}

function random(n) { # 0 to n - 1
    seed = (seed * 1103515245 + 12345) % 2147483648
    return int(seed / 65536) % n
}

BEGIN {
    seed = 42
    n_words = split("alpha beacon cedar delta ember fjord garnet harbor iris juniper kestrel " \
        "lumen maple nectar onyx prism quartz raven sable tundra umbra violet willow zephyr", words)
    n_kinds = split("lib python3- golang- node- r-cran- fonts- gir1.2- ruby-", kinds)
    n_sections = split("libs python devel utils net science fonts games web doc", sections)
    for (i = 1; i <= generate; i++) {
        package = (random(3) ? kinds[1 + random(n_kinds)] : "") words[1 + random(n_words)] \
            "-" words[1 + random(n_words)] i
        version = random(9) "." random(20) "." random(10) "-" 1 + random(4)
        section = sections[1 + random(n_sections)]
        size = 1000 + random(32000) * (1 + random(300))
        installed = int(size / 300)
        maintainer = words[1 + random(n_words)] " team <" words[1 + random(n_words)] "@example.org>"
        depends = "libc6 (>= 2." 10 + random(30) "), " kinds[1 + random(n_kinds)] \
            words[1 + random(n_words)]
        description = words[1 + random(n_words)] " and " words[1 + random(n_words)] " for " \
            words[1 + random(n_words)]
        homepage = "https://example.org/" package
        finish()
    }
    if (generate) exit 0
}

/^Package: /        { package = substr($0, 10) }
/^Version: /        { version = substr($0, 10) }
/^Section: /        { section = substr($0, 10) }
/^Size: /           { size = substr($0, 7) }
/^Installed-Size: / { installed = substr($0, 17) }
/^Maintainer: /     { maintainer = substr($0, 13) }
/^Depends: /        { depends = substr($0, 10) }
/^Description: /    { description = substr($0, 14) }
/^Homepage: /       { homepage = substr($0, 11) }
/^$/                { finish() }
END                 { finish() }
