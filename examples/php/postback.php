<?php
// Takes milaan's postbacks: verified twice over, each payment once; and events of a webhook at /events.
// PHP 8 and nothing else.
//
//     POSTBACK_ACCESS_KEY=AK POSTBACK_PRIVATE_KEY=PK EVENTS_SECRET=whsec_… php -S 127.0.0.1:9000 postback.php
//
// In a shop of your own, keep verify_postback() and replace take_once() by a transaction of your database.
declare(strict_types=1);

/** A delivery that is not the gateway's. */
final class NotGenuine extends Exception
{
}

/** Standard Webhooks: the whole body is signed with the key, and was sent just now. Repeats are signed anew. */
function verify_signature(string $body, array $headers, string $key): void
{
    if ($key === '') {
        throw new LogicException('set the keys: anybody could sign with an empty one');
    }
    $id = $headers['webhook-id'] ?? '';
    $timestamp = $headers['webhook-timestamp'] ?? '';
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    $signed = false;
    foreach (explode(' ', $headers['webhook-signature'] ?? '') as $given) {
        $signed = hash_equals($want, $given) || $signed;
    }
    if (!$signed) {
        throw new NotGenuine('the webhook signature is wrong');
    }
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > 300) {
        throw new NotGenuine('it was sent long ago');
    }
}

/** Returns a genuine event of a webhook: its id, type, timestamp and data. Take each id once; ignore unknown types. */
function verify_event(string $body, array $headers, string $secret): array
{
    $key = str_starts_with($secret, 'whsec_') ? (string) base64_decode(substr($secret, 6), true) : '';
    verify_signature($body, $headers, $key);
    return ['id' => $headers['webhook-id']] + json_decode($body, true, 16, JSON_THROW_ON_ERROR);
}

/**
 * Returns what a genuine postback says: the element of additional_data and the label. Its amount is rupees as exact
 * text ("500.5"): never make a float of it.
 *
 * @param string $body the request's, byte for byte
 * @param array<string, string> $headers names in lower case
 * @throws NotGenuine
 */
function verify_postback(string $body, array $headers, string $accessKey, string $privateKey, string $webhookSecret = ''): array
{
    $key = $webhookSecret !== '' ? $webhookSecret : $privateKey;
    if (str_starts_with($key, 'whsec_') && $webhookSecret !== '') {
        $key = (string) base64_decode(substr($key, 6), true);
    }
    if ($accessKey === '' || $privateKey === '') {
        throw new LogicException('set the keys: anybody could sign with an empty one');
    }

    // 1. Standard Webhooks.
    verify_signature($body, $headers, $key);

    // 2. The legacy signature, over additional_data alone.
    $data = json_decode($body, true, 16);
    $item = $data['additional_data'][0] ?? null;
    if (!is_array($item) || count($data['additional_data']) !== 1) {
        throw new NotGenuine('it has no payment in it');
    }
    $signedText = json_encode($data['additional_data'], JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
    if (
        !hash_equals($accessKey, (string) $data['access_key']) ||
        !hash_equals(sha1($accessKey . $privateKey . md5($signedText)), (string) $data['signature'])
    ) {
        throw new NotGenuine('the signature in the body is wrong');
    }

    // 3. The top level, which the legacy signature does not cover, says the same. The float is only printed.
    if (
        json_encode($data['amount']) !== $item['amount'] || $data['currency_code'] !== $item['currency_code'] ||
        $data['wallet_type'] !== $item['wallet_type'] || $data['direction'] !== ($item['transaction_type'] === 0 ? 'ingoing' : 'outgoing')
    ) {
        throw new NotGenuine('its halves disagree');
    }
    return $item + ['label' => $data['label'], 'direction' => $data['direction']];
}

/** Keeps a payment under its key, and tells whether it is the first time. The file is there whole, or not at all. */
function take_once(string $folder, string $key, array $payment): bool
{
    $file = $folder . '/' . hash('sha256', $key) . '.json';
    $new = tempnam($folder, '.new');
    if ($new === false || file_put_contents($new, json_encode($payment, JSON_THROW_ON_ERROR)) === false) {
        throw new RuntimeException("can't write to $folder");
    }
    $first = @link($new, $file);
    unlink($new);
    if (!$first && !is_file($file)) {
        throw new RuntimeException("can't write $file");
    }
    return $first;
}

/** Runs $take on a genuine postback and answers it: ok only after $take returned; the same for an event at /events. */
function answer_postback(callable $take, ?callable $takeEvent = null): void
{
    $most = 256 << 10;
    $body = (string) file_get_contents('php://input', false, null, 0, $most + 1);
    [$status, $said] = [200, 'ok'];
    try {
        if ($_SERVER['REQUEST_METHOD'] !== 'POST' || strlen($body) > $most) {
            throw new NotGenuine('a postback is a short POST');
        }
        if ($takeEvent !== null && $_SERVER['REQUEST_URI'] === '/events') {
            $takeEvent(verify_event($body, array_change_key_case(getallheaders()), (string) getenv('EVENTS_SECRET')));
            http_response_code(204);
            return;
        }
        $take(verify_postback(
            $body,
            array_change_key_case(getallheaders()),
            (string) getenv('POSTBACK_ACCESS_KEY'),
            (string) getenv('POSTBACK_PRIVATE_KEY'),
            (string) getenv('POSTBACK_WEBHOOK_SECRET'),
        ));
    } catch (NotGenuine $e) {
        [$status, $said] = [403, 'fail'];
        error_log('postback refused: ' . $e->getMessage());
    } catch (Throwable $e) { // the gateway sends it again
        [$status, $said] = [500, 'fail'];
        error_log('postback not taken: ' . $e->getMessage());
    }
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode(['status' => $said]);
}

if (count(get_included_files()) === 1) { // run by itself, not included
    answer_postback(function (array $payment): void {
        if ($payment['direction'] !== 'ingoing') {
            throw new RuntimeException('a withdrawal, for which nothing is written yet');
        }
        $key = $payment['plugin_custom_order_id'] . "\n" . $payment['transaction_id'];
        if (take_once(getenv('TAKEN') ?: '.', $key, $payment)) {
            error_log("order {$payment['plugin_custom_order_id']} of {$payment['label']}: {$payment['amount']} received");
        }
    }, function (array $event): void {
        if (take_once(getenv('TAKEN') ?: '.', $event['id'], $event)) {
            error_log("event {$event['type']}: " . json_encode($event['data']));
        }
    });
}
