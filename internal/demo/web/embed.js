// The payment window, embedded in this page, tells it how tall it is and how
// the payment stands. What it says is shown and never believed: the order is
// paid by postback alone.
(function () {
  'use strict';
  addEventListener('message', function (event) {
    var frame = document.getElementById('window');
    // Exactly the gateway, and exactly our frame of it.
    if (!frame || event.origin !== frame.dataset.gateway || event.source !== frame.contentWindow) return;
    var news = event.data && event.data.milaan;
    if (!news || news.custom_transaction_id !== frame.dataset.order) return;
    if (news.height > 0) frame.style.height = Math.min(news.height, 5000) + 'px';
    if (news.outcome === 'success') location.assign(frame.dataset.done);
    // Until then the payer can still correct the UTR in the window, or wait there.
    else if (news.outcome) document.getElementById('leave').hidden = false;
  });
})();
