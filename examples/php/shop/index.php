<?php
// A shop in one file: an order, the link to the payment window, the way back, and the postback that pays the order.
//
//     MERCHANT=shop GATEWAY=http://127.0.0.1:8080 SHOP_URL=http://127.0.0.1:9000 ORDERS=/tmp/orders \
//     POSTBACK_ACCESS_KEY=AK POSTBACK_PRIVATE_KEY=PK php -S 127.0.0.1:9000 index.php
//
// GATEWAY is https://plugin.your-domain where the merchant has a domain; MERCHANT is left away then. The merchant's
// postback.url is SHOP_URL/postback.
declare(strict_types=1);

require __DIR__ . '/../postback.php';

const PRICE = '499.50'; // rupees, as text: amounts are never floats
const METHOD = 'upi_l';

function setting(string $name, string $default = ''): string
{
    return (string) (getenv($name) ?: $default);
}

/** An order's file. Ids are made by place(): others name no file. */
function order_file(string $id): ?string
{
    return preg_match('/^[0-9a-f]{16}$/D', $id) ? setting('ORDERS', sys_get_temp_dir()) . "/$id.json" : null;
}

/** Reads an order, has $change work on it, and keeps the result, while nobody else does. Null: there is none. */
function with_order(string $id, ?callable $change = null): ?array
{
    $path = order_file($id);
    if ($path === null || !is_file($path)) {
        return null;
    }
    $lock = fopen(dirname($path) . '/.lock', 'c'); // not the order's own file, which is replaced
    if ($lock === false || !flock($lock, LOCK_EX)) {
        throw new RuntimeException("can't lock " . dirname($path));
    }
    $order = json_decode((string) file_get_contents($path), true, 16, JSON_THROW_ON_ERROR);
    if ($change !== null) {
        $order = $change($order);
        // Replaced at once: after a crash there is the old order or the new one.
        $new = tempnam(dirname($path), '.new');
        if (file_put_contents($new, json_encode($order, JSON_THROW_ON_ERROR)) === false || !rename($new, $path)) {
            throw new RuntimeException("can't write $path");
        }
    }
    return $order; // which gives the lock back
}

function place(string $customer): array
{
    $order = ['id' => bin2hex(random_bytes(8)), 'label' => $customer, 'amount' => PRICE, 'received' => []];
    if (file_put_contents(order_file($order['id']), json_encode($order, JSON_THROW_ON_ERROR)) === false) {
        throw new RuntimeException('orders can\'t be kept: set ORDERS to a folder');
    }
    return $order;
}

/** Rupees as the gateway writes them: 499.50 is 499.5. */
function canonical(string $amount): string
{
    return str_contains($amount, '.') ? rtrim(rtrim($amount, '0'), '.') : $amount;
}

function is_paid(array $order): bool
{
    return in_array(canonical($order['amount']), $order['received'], true);
}

/** The payment window for an order (docs/window.md). It leads back to /return, signed. */
function window_link(array $order): string
{
    $query = [
        'label' => $order['label'], 'currency_code' => 'INR', 'wallet_type' => METHOD,
        'custom_transaction_id' => $order['id'], 'fixed_amount' => $order['amount'],
    ];
    if (setting('MERCHANT') !== '') {
        $query['merchant'] = setting('MERCHANT');
    }
    $url = setting('SHOP_URL', 'http://127.0.0.1:9000') . '/return';
    foreach (['success', 'pending', 'fail'] as $kind) {
        $hash = hash_hmac('sha256', "$kind\n{$order['label']}\n{$order['id']}\n$url", setting('POSTBACK_PRIVATE_KEY'));
        $query["{$kind}_url"] = rtrim(strtr(base64_encode($url), '+/', '-_'), '=') . '.' . $hash;
    }
    return setting('GATEWAY', 'http://127.0.0.1:8080') . (setting('MERCHANT') !== '' ? '/pay?' : '/?') . http_build_query($query);
}

/** What a payer brought back from the payment window, or null where the gateway did not sign it. */
function verify_return(array $query): ?array
{
    foreach (['custom_transaction_id', 'status', 'signature'] as $name) {
        if (!is_string($query[$name] ?? null)) {
            return null;
        }
    }
    $want = hash_hmac('sha256', $query['custom_transaction_id'] . "\n" . $query['status'], setting('POSTBACK_PRIVATE_KEY'));
    return hash_equals($want, $query['signature']) ? $query : null;
}

/** The postback: it alone pays an order, and a repeat of it changes nothing. */
function receive(array $payment): void
{
    $order = with_order($payment['plugin_custom_order_id'], function (array $order) use ($payment): array {
        if ($payment['direction'] === 'ingoing' && $payment['label'] === $order['label'] && $payment['currency_code'] === 'INR') {
            $order['received'][$payment['transaction_id']] = $payment['amount']; // another amount is kept, and does not pay
            return $order;
        }
        throw new RuntimeException('the payment is not for this order');
    });
    if ($order === null) {
        throw new RuntimeException('there is no such order');
    }
}

function page(string $title, string $html, int $status = 200): void
{
    http_response_code($status);
    header('Content-Type: text/html; charset=utf-8');
    header('Content-Security-Policy: default-src \'none\'');
    echo "<!doctype html><html lang=\"en\"><meta name=\"viewport\" content=\"width=device-width\"><title>$title</title><h1>$title</h1>$html</html>";
}

function redirect(string $to): void
{
    header("Location: $to", true, 303);
}

function show_order(string $id, string $back): void
{
    $order = with_order($id);
    if ($order === null) {
        page('There is no such order', '<p><a href="/">Back to the shop</a></p>', 404);
        return;
    }
    $state = match (true) {
        is_paid($order) => 'Paid. Thank you!',
        $order['received'] !== [] => 'Another amount arrived. We will contact you.',
        $back === 'success', $back === 'pending' => 'We are waiting for the confirmation of your payment. Reload in a moment.',
        $back === 'fail' => 'The payment failed. <a href="' . htmlspecialchars(window_link($order)) . '">Try again</a>',
        default => '<a href="' . htmlspecialchars(window_link($order)) . '">Pay by UPI</a>',
    };
    page('Order ' . $id, "<p>One box of tea, ₹{$order['amount']}</p><p>$state</p>");
}

$path = (string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
switch ($_SERVER['REQUEST_METHOD'] . ' ' . (preg_match('#^/orders/#', $path) ? '/orders/' : $path)) {
    case 'GET /':
        page('Tea', '<form method="post" action="/orders"><button>Buy a box, ₹' . PRICE . '</button></form>');
        break;
    case 'POST /orders':
        $customer = 'customer-55'; // whoever is signed in
        redirect(window_link(place($customer)));
        break;
    case 'GET /orders/':
        $back = $_GET['back'] ?? '';
        show_order(basename($path), is_string($back) ? $back : '');
        break;
    case 'GET /return': // says what to show, and pays nothing
        $back = verify_return($_GET);
        if ($back === null) {
            page('This address is not as the payment page made it', '<p><a href="/">Back to the shop</a></p>', 403);
        } else {
            redirect('/orders/' . rawurlencode($back['custom_transaction_id']) . '?back=' . rawurlencode($back['status']));
        }
        break;
    case 'POST /postback':
        answer_postback('receive');
        break;
    default:
        page('There is no such page', '', 404);
}
