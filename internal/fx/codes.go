package fx

import "slices"

// configured holds every code of converted_amount, in the order in which merchants have always received
// them (protocol §5). Merchants compare bodies byte by byte: append, never reorder.
var configured = [...]string{
	"USD", "INR", "EUR", "IDR", "MYR", "VND", "SGD", "THB", "NGN", "TRY", "AED", "CAD", "AUD", "BDT", "AFN",
	"ALL", "AMD", "AOA", "ARS", "AWG", "AZN", "BAM", "BBD", "BGN", "BHD", "BIF", "BMD", "BND", "BOB", "BRL",
	"BSD", "BTC", "BTN", "BWP", "BYN", "BZD", "CDF", "CHF", "CLF", "CLP", "CNH", "CNY", "COP", "CRC", "CUC",
	"CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "FJD", "FKP", "GBP", "GEL", "GGP",
	"GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HRK", "HTG", "HUF", "ILS", "IMP", "IQD", "IRR",
	"ISK", "JEP", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK",
	"LBP", "LKR", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRO", "MRU", "MUR",
	"MVR", "MWK", "MXN", "MZN", "NAD", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR",
	"PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SHP", "SLL", "SOS",
	"SRD", "SSP", "STD", "STN", "SVC", "SYP", "SZL", "TJS", "TMT", "TND", "TOP", "TTD", "TWD", "TZS", "UAH",
	"UGX", "UYU", "UZS", "VEF", "VES", "VUV", "WST", "XAF", "XAG", "XAU", "XCD", "XDR", "XOF", "XPD", "XPF",
	"XPT", "YER", "ZAR", "ZMW", "ZWL", "ETH", "LTC", "DOGE", "DASH", "BCH", "ZEC", "ETC", "XRP", "TRX",
	"XLM", "WAVES", "USDT", "USDTTRC20", "USDT20",
}

// rupee is the code amounts are converted from.
const rupee = "INR"

// Codes returns every configured code in the order in which AppendConverted writes them.
func Codes() []string { return slices.Clone(configured[:]) }

// Decimals returns how many decimals an amount of code is rounded to: 8 for crypto, 2 for everything
// else, metals included (protocol §5). It reports false for a code that is not configured.
func Decimals(code string) (int, bool) {
	if !slices.Contains(configured[:], code) {
		return 0, false
	}
	switch code {
	case "BTC", "ETH", "LTC", "DOGE", "DASH", "BCH", "ZEC", "ETC", "XRP", "TRX", "XLM", "WAVES",
		"USDT", "USDTTRC20", "USDT20":
		return 8, true
	}
	return 2, true
}

// quotedAs returns the code whose rate code is converted at. USDTTRC20 and USDT20 are USDT on another
// chain, worth the same coin, so they follow USDT and a feed's own rate for them is not read. (The
// protocol's example shows them as 0 because its provider quoted neither.)
func quotedAs(code string) string {
	if code == "USDTTRC20" || code == "USDT20" {
		return "USDT"
	}
	return code
}
