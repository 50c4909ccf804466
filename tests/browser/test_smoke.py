def test_x(signed_in_as):
    page = signed_in_as("recorder")
    page.goto("/")
    print(page.title(), page.url)
    from axe_playwright_python.sync_playwright import Axe
    print(Axe().run(page).generate_snapshot())
def test_y(signed_in_as):
    page = signed_in_as("recorder")
    page.goto("/cases/find")
