#!/bin/bash
# README's tour, on real programs: each step says what it does, does it, and checks what came of it. Runs as root in a Debian.
set -u
export LC_ALL=C
failed=0
audit=/var/log/vs-audit.jsonl

title() { printf '\n== %s\n' "$*"; }
# Prints a command, runs it, and keeps its output and status.
run() {
    printf '$ %s\n' "$*"
    output=$("$@" 2>&1)
    status=$?
    if [ -n "$output" ]; then printf '%s\n' "$output" | sed 's/^/  /'; fi
}
holds() { printf '  [ok] %s\n' "$1"; }
breaks() { printf '  [FAILED] %s\n' "$1"; failed=$((failed + 1)); }
check() { if eval "$2"; then holds "$1"; else breaks "$1 ($2)"; fi; }
says() { check "$1" "grep -qE -- '$2' <<<\"\$output\""; }
says_not() { check "$1" "! grep -qE -- '$2' <<<\"\$output\""; }
# The first line that the web server answers.
ask() { exec 3<>/dev/tcp/192.0.2.10/80 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && head -n 1 <&3 | tr -d '\r'; exec 3>&-; }

title "A stock kernel: $(uname -r)"
run vs doctor
check "the kernel can enforce" '[ $status -eq 0 ] || [ $status -eq 14 ]'

title "Three contexts and a spectator"
run cat /etc/vs/demo.toml
run vs load /etc/vs/demo.toml
check "the policy is in force" '[ $status -eq 0 ]'
vs audit collect --output "$audit" &
collector=$!

title "A web server in one context, and something of the host's"
run vs run --context web -- nginx
check "nginx starts and goes to the background" '[ $status -eq 0 ]'
sleep 1000 & host=$!
nginx=$(pgrep -o nginx)
output=$(ask)
says "it serves: $output" '^HTTP/1.1 200'

title "Another in the next context: the same port, at an address and on a loopback of its own"
run vs run --context blog -- nginx
check "it starts with the same configuration" '[ $status -eq 0 ]'
fetch=(curl -sS -o /dev/null -w '%{http_code}')
for context in web blog; do
    run vs run --context "$context" -- "${fetch[@]}" http://127.0.0.1/
    says "$context has its own 127.0.0.1" '^200'
done
run "${fetch[@]}" http://192.0.2.20/
says "from outside it has its address" '^200'
run "${fetch[@]}" http://127.0.0.1/
says "nobody is on the loopback of the host" 'connect'
run vs run --context blog -- nginx -s stop
for _ in {1..50}; do vs ps | grep -q 'blog.*nginx' || break; sleep 0.1; done
run vs run --context blog -- "${fetch[@]}" http://127.0.0.1/
says "once it has ended, nobody is on that of its context" 'connect'
output=$(ask)
says "the first serves: $output" '^HTTP/1.1 200'

title "A third of the host's own, at one address of the host's"
ip -4 address add 192.0.2.30/32 dev lo
ip -6 address add 2001:db8::30/128 dev lo
run vs chbind --ip 192.0.2.30 --ip 2001:db8::30 -- nginx
check "it starts with the same configuration" '[ $status -eq 0 ]'
run "${fetch[@]}" http://192.0.2.30/
says "it serves there" '^200'
run "${fetch[@]}" http://127.0.0.1/
says "and nowhere else" 'connect'
output=$(ask)
says "the first serves: $output" '^HTTP/1.1 200'

title "A root shell in the third context"
run vs run --context shell -- ps -ef
says_not "ps does not show nginx" 'nginx'
says_not "nor the host's processes" 'sleep 1000'
says "it shows its own" 'ps -ef'
run vs run --context shell -- sh -c 'id -u; ls -d /proc/[0-9]* | wc -l'
says "it is root, and /proc lists hardly anything" '^[1-4]$'
run vs run --context shell -- cat "/proc/$nginx/status"
says "/proc/PID of nginx does not exist" 'No such file or directory'

title "It signals, traces, renices the web server, and the host"
run vs run --context shell -- kill -9 "$nginx"
says "kill" 'not permitted'
run vs run --context shell -- kill -9 "$host"
says "kill of the host's process" 'not permitted'
run vs run --context shell -- strace -p "$nginx"
says "strace" 'not permitted|No such'
run vs run --context shell -- gdb -q -batch -p "$nginx"
says "gdb" 'not permitted|No such'
run vs run --context shell -- renice 5 -p "$nginx"
says "renice" 'not permitted'
run vs run --context shell -- pkill -9 nginx
check "pkill finds nobody" '[ $status -eq 1 ]'
run vs run --context shell -- sh -c 'id -u; echo evil >> /etc/passwd'
says "root inside changes no file of the host's" 'passwd.*Permission denied'
run vs run --context shell -- sh -c 'echo mine > /tmp/mine && cat /tmp/mine'
says "it has files in memory of its own" '^mine$'
run vs run --context shell -- mount -t tmpfs none /mnt
says "mount" 'denied|not permitted'
output=$(ask)
says "the web server works undisturbed: $output" '^HTTP/1.1 200'
check "the host's process lives" 'kill -0 $host'

title "The spectator sees both and changes neither"
run vs run --spectator -- ps -C nginx,sleep -o pid,user,comm
says "it sees nginx" 'nginx'
says "it sees the host's process" 'sleep'
run vs run --spectator -- kill -9 "$nginx"
says "kill" 'not permitted'

title "The host sees all, with the context beside it"
run vs ps
says "nginx is in the context web" 'web.*nginx'

title "Every attempt is in the audit"
sleep 2
run vs audit summary "$audit"
for hook in task_kill ptrace_access_check task_setnice sb_mount; do
    says "$hook is accounted for" "$hook"
done
output=$(grep -F '"kind":"violation"' "$audit" | grep -F '"hook":"task_kill"' | head -n 1)
printf '%s\n' "$output" | cut -c1-700 | sed 's/^/  /'
says "a record names both contexts" '"context":"shell".*"context":"(web|host)"'

title "Gone without a trace"
run vs unload --stop
check "everything is detached" '[ $status -eq 0 ]'
check "the web server went with its context" '! pgrep nginx >/dev/null'
check "the host's process did not" 'kill -0 $host'
kill "$collector" "$host" 2>/dev/null

printf '\n'
if [ "$failed" -eq 0 ]; then echo "Everything held."; else echo "$failed steps did not hold."; fi
exit "$((failed > 0))"
