package alert

import "strings"

func words(list string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		set[w] = true
	}
	return set
}

// evidence is something a text says that speaks against a credit: a phrase, as
// the text's words with single spaces, and what it means to a person.
type evidence struct {
	why     string
	phrases []string
	weight  weight
}

// weight is how much an evidence says where the text otherwise reads as a
// credit.
type weight int

const (
	// firm evidence stands in no alert of a credit.
	firm weight = iota
	// mild evidence may stand in a payer's name or remark: a person decides.
	mild
	// slight evidence stands in many a remark ("invoice 7"): it says something
	// only of a text that is no whole credit.
	slight
)

func hints(why, list string) evidence {
	e := speaks(why, list)
	e.weight = mild
	return e
}

func remarks(why, list string) evidence {
	e := speaks(why, list)
	e.weight = slight
	return e
}

func speaks(why, list string) evidence {
	e := evidence{why: why}
	for phrase := range strings.SplitSeq(list, ",") {
		e.phrases = append(e.phrases, " "+strings.Join(strings.Fields(phrase), " ")+" ")
	}
	return e
}

// against is what speaks against a credit, in order of what a person should be
// told first.
var against = []evidence{
	speaks("a one-time code", `otp, otps, one time password, one time passcode, one time pin, verification code, security code,
		activation code, is your code, login code`),
	speaks("a request to pay", `has requested, have requested, is requesting, requested rs, requested money, requested for, requested a,
		collect request, payment request, money request, pay request, request to pay, request for payment, request of, mandate request,
		mandate collect, to approve, to authorize, to authorise, approve in, approve the, please approve, pls approve, please pay, pls pay,
		kindly pay, on approving, asking for, pay now, accept the request, to accept, to decline`),
	speaks("a mandate", `mandate has been, mandate is, e mandate, emandate, mandate created, mandate registered, mandate towards, umn,
		autopay is, autopay setup, successfully created a mandate, created a mandate, maximum amount, standing instruction`),
	speaks("not yet: it announces", `will be, shall be, would be, to be credited, to be debited, to be deposited, to be received, will get, will receive,
		will reflect, shall reflect, would reflect, is scheduled, scheduled for, scheduled on, shortly, under process, in process, in progress,
		being processed, is pending, still pending, payment pending, transaction pending, txn pending, is initiated, been initiated, was initiated,
		refund initiated, transaction initiated, txn initiated, transfer initiated, payment initiated, working days, business days,
		within 24, within 48, within 2, within 3, within 5, within 7, if credited, if debited, if received, once credited, once received,
		can be credited, may be credited, could be credited, eligible for, yet to be, expected to, not yet, awaited, awaiting`),
	speaks("a failure", `failed, failure, declined, unsuccessful, not successful, not been successful, was not successful, not completed, incomplete,
		not processed, not been processed, could not, couldn t, cannot be, can not be, unable to, not credited, not been credited, not be credited,
		not received, not been received, not debited, not be processed, rejected, dishonoured, dishonored, bounced, timed out, time out,
		cancelled, canceled, insufficient, not deposited, wasn t, hasn t, isn t credited, never credited, uncredited`),
	speaks("money held, not moved", `is blocked, are blocked, been blocked, funds blocked, amount blocked, on hold, put on hold, lien, asba, unblocked,
		lien marked, kept on hold, withheld`),
	speaks("a card", `credit card, creditcard, credit crd, cardmember, card member, card holder, cardholder, card account, card ending, your card, card xx,
		card x, card no, card number, card bill, card statement, prepaid card, meal card, gift card, forex card, travel card, onecard, card a c,
		cc ending, credit cards, sbi card, on card, to card`),
	hints("a wallet or points, not the account", `wallet, wallets, reward points, reward point, points credited, worth points, vouchers,
		coupon, coupons, gift voucher, cashpoints, paytm balance, amazon pay balance, prepaid balance, talktime, talk time, recharge, recharged,
		data pack, fastag, fast tag, scratch, top up, topup, topped up`),
	hints("an offer", `loan offer, pre approved, preapproved, pre qualified, apply now, apply for, eligible, congratulations, congrats, hurry, special offer,
		discount, lottery, jackpot, prize, winner, you won, you have won, rummy, poker, casino, betting, join now, register now, play now,
		withdraw now, claim, claim now, limited period, t c apply, t c s apply, t cs apply, refer and earn, upto, up to, avail now, instant loan,
		personal loan, shop now, buy now, click here, click now, tap here, tap to, emis, smartemis, limit increased, cash prize`),
	hints("a statement or a bill", `mini statement, statement for, statement is, statement of, minimum due, total due, min due, amount due, is due, due by, due on, due date,
		bill of, bill for, bill amount, bill is, overdue, premium due, emi of, emi due, payable, reminder`),
	hints("securities, not money", `shares, units, folio, nav, pran, demat, securities, cdsl, nsdl demat, equity shares, bonds, sip`),
	hints("somebody else's account", `beneficiary, beneficiaries, benef, beneficiary s, payee, payee s, recipient, your beneficiary, remitted to, fund transfer to, funds transfer to,
		transfer to a c, transferred to, trf to, your payment, your neft of, your imps of, your rtgs of, your upi of,
		your upi txn, your upi transaction of, your upi transaction to, your upi payment, your imps payment, your neft payment, your rtgs payment, your neft transfer, your imps transfer, your rtgs transfer, your upi transfer,
		your neft transaction, your rtgs transaction, your neft txn, your rtgs txn, your imps txn, your transfer, your fund transfer, your funds transfer,
		your transaction of, your txn of, your transaction for, your txn for, your remittance, money transfer, from your, from ur, from you, credited to merchant, merchant account,
		vendor, supplier account, favour of, favouring, fvg`),
	hints("a mistake to be paid back", `by mistake, wrongly, mistakenly, accidentally, erroneously, send back, send it back, return it, return the,
		return money, please return, pls return, please refund, pls refund, kindly refund, kindly return, refund it, refund to, refund the, refund back,
		refund my, pay back, give back`),
	hints("bait", `kyc, pan card, blocked today, suspended, deactivated, update your, verify your, to verify, verify now, verify at, to confirm,
		click the, click on, click to, click link, open link, visit link, income tax refund, tax refund, whatsapp, lucky, customer care number,
		to receive, to get, to withdraw, to avail, to redeem, redeem, to claim, to accept, urgent, urgently, act now`),

	hints("it speaks of a request", `request, requested, requests, collect, approve, approved, authorize, authorise, mandate, autopay, umrn`),
	hints("it speaks of the future", `soon, scheduled, pending, initiated, processing, subject to, expected, upcoming, tomorrow, if, unless, until, once,
		provided, when, would, shall, will, might, may be`),
	hints("it speaks of a failure", `fail, fails, failing, decline, error, returned, return, invalid, expired, stopped, not, unsuccess, revoked, undelivered,
		denied, refused, void, disputed, freeze, frozen, hold, held, blocked`),
	hints("it speaks of a card", `card, cards, visa, mastercard, rupay, pos, amex`),
	hints("it speaks of an offer", `loan, emi, reward, rewards, points, coins, voucher, bonus, offer, offers, exclusive, win, won, earn, bet, game, spin`),
	hints("it speaks of another kind of account", `consumer, postpaid, prepaid, dth, broadband, landline, point, coin, nps, epf, ppf, ssy, passbook, contribution, sms pack`),
	hints("it asks for a call or a click", `please call, pls call, link, http, www`),
	remarks("it speaks of a bill or a purchase", `bill, invoice, receipt, order, booking, ticket, fee, fees, charge, charges, fine, penalty, due, dues, outstanding, overdue, gift, invest, insurance,
		policy, premium, deal, sale, gold, unit, data, validity, score`),
}

// foreign money is none the gateway counts.
var foreign = speaks("a foreign currency", `usd, eur, gbp, aed, sgd, dollar, dollars, euro, euros, pounds, sar, jpy, cad, aud`)

// back is money that comes back to the account.
var back = speaks("the reversal of an own debit", `reversal, reversed, credited back, upi rev, imps rev, neft rev, rev upi, rev imps, reversing, rvsl, reversl, reverse, rollback, credit adjustment, chargeback,
	auto reversal, returned funds, neft return, imps return, upi return, rtgs return`)

// refunds come from a merchant.
var refunds = speaks("a refund", `refund, refunded, refunds`)

// yields are what a bank or an investment pays.
var yields = speaks("interest, a dividend or the like", `interest, int pd, int paid, int of, int credit, int credited, int coll, int on, by int, dividend, dividends,
	cashback, cash back, subsidy, maturity, matured, proceeds, redemption, redeemed, sweep, dbt, lpg, pm kisan, pmkisan, disbursed, disbursement,
	disbursal, closure, premature, maturity proceeds`)

func (e *evidence) in(words string) bool {
	for _, p := range e.phrases {
		if strings.Contains(words, p) {
			return true
		}
	}
	return false
}

// find is the first of the list that the words hold.
func find(words string, list []evidence) *evidence {
	for i := range list {
		if list[i].in(words) {
			return &list[i]
		}
	}
	return nil
}
