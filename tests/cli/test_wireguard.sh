# The VPN's configurations that come with an invitation, held against WireGuard's own tools: keys that belong together, addresses of one's own.
source "$(dirname "$0")/cli.sh"
if ! command -v wg >/dev/null; then
    echo "skipped: wg (wireguard-tools) is missing"
    exit 77
fi
cd "$work" || exit 1
value() { sed -n "s/^$2 = //p" "$1"; }
invite() { "$cytofs" member add "$work/store" "$1" --wireguard gpu.lab.example "${@:2}"; }

check "init" expect_status 0 "$cytofs" init "$work/store"
check "an endpoint that is none is refused" expect_status 1 "$cytofs" member add "$work/store" bob --wireguard 'a b'
check "a subnet that is none, too" expect_status 1 invite bob --subnet 10.0.0.1/24
check "and nobody is invited by that" bash -c "! '$cytofs' member list '$work/store' | grep -q bob"
check "bob is invited" expect_status 0 invite bob --subnet 10.9.8.0/29
check "to the server's address in the VPN" grep -q '^cytofs join 10.9.8.1 1\.' "$work/out"
check "the files are for their owner alone" [ "$(stat -c %a bob.conf cytofs-wg.conf | tr '\n' ' ')" = "600 600 " ]
check "bob's file names the server's key" [ "$(value bob.conf PublicKey)" = "$(value cytofs-wg.conf PrivateKey | wg pubkey)" ]
check "the server's names bob's" [ "$(value cytofs-wg.conf PublicKey)" = "$(value bob.conf PrivateKey | wg pubkey)" ]
check "where the server is" [ "$(value bob.conf Endpoint)" = gpu.lab.example:51820 ]
check "bob's address" [ "$(value bob.conf Address)" = 10.9.8.2/32 ]
check "is what the server lets him use" [ "$(value cytofs-wg.conf AllowedIPs)" = 10.9.8.2/32 ]
check "the store does not show the keys" bash -c "! grep -rqaF '$(value bob.conf PrivateKey)' '$work/store' && ! grep -rqaF '$(value cytofs-wg.conf PrivateKey)' '$work/store'"
check "eve is invited" expect_status 0 invite eve
check "to an address of her own" [ "$(value eve.conf Address)" = 10.9.8.3/32 ]
check "both are on the server" [ "$(grep -c '^\[Peer\]' cytofs-wg.conf)" = 2 ]
first=$(value bob.conf PrivateKey)
check "bob once more" expect_status 0 invite bob
check "has his address" [ "$(value bob.conf Address)" = 10.9.8.2/32 ]
check "and another key" [ "$(value bob.conf PrivateKey)" != "$first" ]
check "eve's invitation is withdrawn" expect_status 0 "$cytofs" member revoke "$work/store" eve
for name in carol dan fay gil; do check "$name is invited" expect_status 0 invite "$name"; done
check "the address that became free is used again" [ "$(value carol.conf Address)" = 10.9.8.3/32 ]
check "eve is not on the server" bash -c "! grep -q '^# eve' cytofs-wg.conf"
check "a full subnet is told" expect_status 1 invite hal
check "in words" grep -q 'no free address' "$work/err"
check "and hal is not invited" bash -c "! '$cytofs' member list '$work/store' | grep -q hal"
